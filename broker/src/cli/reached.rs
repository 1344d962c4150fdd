//! A cluster as commands ask it: by a node that answers, and when that is gone by another one.

use anyhow::{Context, Result, bail};
use paceline_membership::{Change, View};

use super::cluster::ClusterArgs;
use crate::{
    operator::{self, OperatorError, Survey},
    replication::protocol::NotChanged,
};

/// A node that answers, of a cluster.
pub(super) struct Reached {
    cluster: String,
    address: String,
    /// Others that may answer when it does no more.
    others: Vec<String>,
}

impl Reached {
    /// By the node that the arguments name.
    pub(super) async fn by(args: &ClusterArgs) -> Result<Self> {
        let (definition, address) = args.reach().await?;
        let mut reached = Self { cluster: definition.name, address, others: Vec::new() };
        reached.know(&definition.view);
        Ok(reached)
    }

    /// The cluster's name.
    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Where the node is that was asked last.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    fn know(&mut self, view: &View) {
        self.others = view.members().iter().map(|member| member.link.clone()).collect();
    }

    /// Whom to ask, in turn: the one that was asked last, and when that is gone the others.
    fn addresses(&self) -> Vec<String> {
        let others = self.others.iter().filter(|address| **address != self.address);
        std::iter::once(&self.address).chain(others).cloned().collect()
    }

    /// Has the cluster change; gives the views before and after.
    pub(super) async fn change(&mut self, change: &Change) -> Result<(View, View)> {
        let mut error = None;
        for address in self.addresses() {
            let before = match operator::definition(&self.cluster, &address).await {
                Ok(definition) => definition.view,
                Err(why) => {
                    error.get_or_insert(why);
                    continue;
                }
            };
            match operator::change(&self.cluster, &address, change).await {
                Ok(after) => {
                    self.address = address;
                    self.know(&after);
                    return Ok((before, after));
                }
                Err(OperatorError::NotChanged(NotChanged::Refused(why))) => bail!("{why}"),
                Err(why) => drop(error.get_or_insert(why)),
            }
        }
        Err(error.expect("one was asked")).context("no node could be asked")
    }

    /// How the cluster stands.
    pub(super) async fn survey(&mut self) -> Result<Survey> {
        let mut error = None;
        for address in self.addresses() {
            match operator::survey(&self.cluster, &address).await {
                Ok(survey) => {
                    self.address = address;
                    self.know(&survey.view);
                    return Ok(survey);
                }
                Err(why) => drop(error.get_or_insert(why)),
            }
        }
        Err(error.expect("one was asked")).context("no node could be asked")
    }
}
