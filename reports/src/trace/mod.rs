//! A run as a space-time diagram: a line for each client and node, time from top to bottom, and what
//! went from one to another as arrows. One page in which one can search, follow a message and zoom,
//! and which is whole without its script too.

mod layout;
mod page;
mod picture;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use page::trace_page;
pub use value::{
    Arrow, ArrowKind, Band, Conviction, End, Kind, Lane, LaneKind, LeftOut, Point, Span, SpanKind,
    TRACE_VERSION, Trace, Window,
};
pub use write::write_trace;
