//! `paceline transactions`

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use paceline_core::xa::{BranchInfo, Xid};
use paceline_runtime::{say, time};
use serde_json::json;

use super::{cluster::ClusterArgs, table};
use crate::{operator, replication::protocol::BranchEnd};

/// Say which distributed (XA) transactions are prepared, and end one by hand.
///
/// What is prepared is neither committed nor rolled back before its transaction manager says so. Where that
/// never comes back, an operator can decide, who has to know what the other resources of the transaction
/// did. The cluster remembers the decision until the transaction manager has heard of it, or until it is
/// forgotten here. Every command can be given again: what is done is not done twice.
#[derive(Debug, Args)]
pub(super) struct Transactions {
    #[command(subcommand)]
    action: Action,
}

// A doc comment on a variant would take the place of the command's own, longer one in its help.
#[derive(Debug, Subcommand)]
enum Action {
    List(List),
    Commit(Commit),
    Rollback(Rollback),
    Forget(Forget),
}

/// List the transactions that are prepared, and those that an operator has ended.
///
/// All of them or none: it is an error when a slot has no leader that could say.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// Commit a transaction that is prepared.
///
/// Its transaction manager, should it come back and want otherwise, is told that this has happened.
#[derive(Debug, Args)]
struct Commit {
    #[command(flatten)]
    which: Which,
}

/// Roll a transaction back that is prepared.
///
/// Its transaction manager, should it come back and want otherwise, is told that this has happened.
#[derive(Debug, Args)]
struct Rollback {
    #[command(flatten)]
    which: Which,
}

/// Forget how an operator has ended a transaction.
///
/// For one whose transaction manager will never ask.
#[derive(Debug, Args)]
struct Forget {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Its name, as `transactions list` shows it.
    xid: Xid,
}

impl Transactions {
    pub(super) async fn run(self) -> Result<()> {
        match self.action {
            Action::List(list) => list.run().await,
            Action::Commit(it) => it.which.end(BranchEnd::Commit, "committed").await,
            Action::Rollback(it) => it.which.end(BranchEnd::Rollback, "rolled back").await,
            Action::Forget(it) => it.which.end(BranchEnd::Forget, "forgotten").await,
        }
    }
}

impl Which {
    async fn end(self, end: BranchEnd, done: &str) -> Result<()> {
        let Self { cluster, xid } = self;
        let (definition, address) = cluster.reach().await?;
        let ended = operator::end_branch(&definition.name, &address, &xid, end).await;
        ended.with_context(|| format!("{xid}"))?;
        say!("{xid} is {done}");
        Ok(())
    }
}

impl List {
    async fn run(self) -> Result<()> {
        let (definition, address) = self.cluster.reach().await?;
        let found = operator::branches(&definition.name, &address).await?;
        if self.json {
            let all: Vec<_> = found
                .iter()
                .map(|it| {
                    json!({
                        "xid": it.xid.to_string(), "state": state(it), "since_ms": it.since.0,
                        "slots": it.participants,
                    })
                })
                .collect();
            say!("{:#}", json!({ "transactions": all }));
            return Ok(());
        }
        if found.is_empty() {
            say!("no distributed transaction is prepared");
            return Ok(());
        }
        let now = time::wall_clock().0;
        let mut rows = vec![table::row(["TRANSACTION", "STATE", "FOR", "SLOTS"])];
        for it in &found {
            let slots: Vec<_> = it.participants.iter().map(u32::to_string).collect();
            let age = format!("{} s", now.saturating_sub(it.since.0) / 1_000);
            rows.push(table::row([&it.xid.to_string(), state(it), &age, &slots.join(",")]));
        }
        table::print(&rows);
        Ok(())
    }
}

fn state(branch: &BranchInfo) -> &'static str {
    match branch.ended {
        None => "prepared",
        Some(true) => "committed by an operator",
        Some(false) => "rolled back by an operator",
    }
}
