//! What every report is drawn with: pages, tables, charts, and the files they go to. Knows nothing of
//! what was measured.

pub(crate) mod csv;
pub(crate) mod files;
pub(crate) mod page;
pub(crate) mod plot;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod theme;
