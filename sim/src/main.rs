//! `paceline-sim`, run as `cargo sim`: see [`paceline_sim::explore::cli`].

fn main() -> std::process::ExitCode {
    paceline_sim::explore::main()
}
