//! `paceline-sim`, run as `cargo sim`: see [`paceline_sim::explore::cli`].

/// A run allocates some hundred times a message, on one thread: a tenth of its instructions, which
/// this halves.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    paceline_sim::explore::main()
}
