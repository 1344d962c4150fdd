//! Standard output of a program whose reader may leave.
//!
//! `println!` panics where writing fails. A program in a pipeline, `paceline status | head -1`
//! say, is to end without a word then, with the status that a shell expects.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

/// 128 + SIGPIPE: how a shell reports a program that wrote to a pipe without a reader.
pub const BROKEN_PIPE: u8 = 141;

/// Prints a line, as `println!` does; if that fails, ends the process as [`leave`] does.
#[macro_export]
macro_rules! say {
    () => { $crate::say!("") };
    ($($arg:tt)+) => {
        if let Err(error) = $crate::output::line(::core::format_args!($($arg)+)) {
            $crate::output::leave(&error)
        }
    };
}

/// Prints a line.
///
/// # Errors
///
/// Those of standard output, among them `BrokenPipe`: its reader is gone.
pub fn line(text: fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_fmt(text)?;
    out.write_all(b"\n")
}

/// Ends the process because standard output failed: quietly with [`BROKEN_PIPE`] where nobody reads
/// it any more, otherwise with the reason and 1.
pub fn leave(error: &io::Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(BROKEN_PIPE.into());
    }
    complain(format_args!("cannot write to standard output: {error}"));
    std::process::exit(1)
}

/// Ends a program whose command line asked for help or made no sense, after the parser has printed
/// what there is to say.
pub fn usage(printed: io::Result<()>, code: i32) -> ExitCode {
    match printed {
        Ok(()) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => leave(&error),
    }
}

/// Prints a line on standard error, and does without where nobody reads that.
pub fn note(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints `error: TEXT` on standard error, and does without where nobody reads that.
pub fn complain(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "error: {text}");
}
