//! `paceline completions` and `paceline man`: what an installation wants besides the program.

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use paceline_runtime::say;

use super::Cli;

/// Print a script that lets a shell complete the arguments of `paceline`.
///
/// Bash reads it from ~/.local/share/bash-completion/completions/paceline, fish from
/// ~/.config/fish/completions/paceline.fish, zsh from a file _paceline in any folder of its fpath.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Print a page of the manual, for `man`.
///
/// It is to be stored as paceline.1, or paceline-COMMAND.1, in a folder man1 of the manual, such as
/// ~/.local/share/man/man1.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The command whose page it is to be; without it, the page of the whole program.
    #[arg(value_parser = name_of_command)]
    command: Option<String>,
}

/// The command line, with the full name of every command filled in.
fn command_line() -> clap::Command {
    // A page about `paceline help` would help nobody.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

fn name_of_command(text: &str) -> Result<String, String> {
    let commands = command_line();
    if commands.find_subcommand(text).is_some() {
        return Ok(text.to_owned());
    }
    let names: Vec<_> = commands.get_subcommands().map(clap::Command::get_name).collect();
    Err(format!("the commands are {}", names.join(", ")))
}

impl Completions {
    pub(super) fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "paceline", &mut script);
        print(script)
    }
}

impl Man {
    pub(super) fn run(&self) -> Result<()> {
        let mut command = command_line();
        if let Some(name) = &self.command {
            command = command.find_subcommand(name).context("there is no such command")?.clone();
        }
        let mut page = Vec::new();
        let source = concat!("paceline ", env!("CARGO_PKG_VERSION"));
        clap_mangen::Man::new(command).source(source).render(&mut page)?;
        print(page)
    }
}

fn print(text: Vec<u8>) -> Result<()> {
    let text = String::from_utf8(text)?;
    say!("{}", text.trim_end());
    Ok(())
}
