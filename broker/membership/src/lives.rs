//! Which lives of a node its disk remembers.
//!
//! A node's life goes from a start of its process to the end. It is numbered, and marked at random, so
//! that two lives are not taken for one because a disk has forgotten the first of them. The node's
//! disk holds the latest ones, its peers each the last one that they have heard from. A disk that does
//! not remember a life that a peer does has forgotten what the node promised in it.

use std::{collections::VecDeque, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// So many of a node's latest lives are remembered: whoever has not heard of it in more starts takes
/// its word.
const KEPT: usize = 64;

/// One life of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Life {
    /// Counts the node's starts, from 1. Larger than that of every life known before.
    pub number: u64,
    /// Drawn at random.
    pub mark: u64,
}

impl Life {
    /// The greatest number of a life. No node starts so often, and what others say may not exceed it.
    pub const LAST: u64 = u64::MAX >> 1;
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.number, self.mark)
    }
}

/// A text is no [`Life`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no life of a node: a number, `-` and 16 hexadecimal digits")]
pub struct LifeError(String);

impl FromStr for Life {
    type Err = LifeError;

    fn from_str(text: &str) -> Result<Self, LifeError> {
        let parse = || {
            let (number, mark) = text.split_once('-')?;
            Some(Self { number: number.parse().ok()?, mark: u64::from_str_radix(mark, 16).ok()? })
        };
        parse().ok_or_else(|| LifeError(text.to_owned()))
    }
}

impl TryFrom<String> for Life {
    type Error = LifeError;

    fn try_from(text: String) -> Result<Self, LifeError> {
        text.parse()
    }
}

impl From<Life> for String {
    fn from(life: Life) -> Self {
        life.to_string()
    }
}

/// The lives that a disk remembers, without a hole, the present one last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<Life>", try_from = "Vec<Life>")]
pub struct Lives(VecDeque<Life>);

/// Lives that do not follow one another.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the lives of a node are numbered one after the other, and there is one at least")]
pub struct LivesError;

impl Lives {
    /// Of a disk that is new, to a node of which life `known` is the last that anybody remembers; 0
    /// if nobody does.
    pub fn after(known: u64, mark: u64) -> Self {
        Self(VecDeque::from([Life { number: known + 1, mark }]))
    }

    /// The node starts once more.
    pub fn begin(&mut self, mark: u64) {
        let number = self.present().number + 1;
        self.0.push_back(Life { number, mark });
        while self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The life that is now.
    pub fn present(&self) -> Life {
        *self.0.back().expect("there is one")
    }

    /// Whether the disk knows what the node did in a life that somebody remembers. What was before
    /// its first one it has either been told of, or that was long ago.
    pub fn remember(&self, life: Life) -> bool {
        life.number < self.0[0].number || self.0.contains(&life)
    }
}

impl TryFrom<Vec<Life>> for Lives {
    type Error = LivesError;

    fn try_from(lives: Vec<Life>) -> Result<Self, LivesError> {
        let follow = |pair: &[Life]| pair[0].number.checked_add(1) == Some(pair[1].number);
        let counts = lives.last().is_some_and(|present| present.number <= Life::LAST);
        match counts && lives.len() <= KEPT && lives.windows(2).all(follow) {
            true => Ok(Self(lives.into())),
            false => Err(LivesError),
        }
    }
}

impl From<Lives> for Vec<Life> {
    fn from(lives: Lives) -> Self {
        lives.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A disk that was started so often, each time with another mark.
    fn started(times: u64, mark: u64) -> Lives {
        let mut lives = Lives::after(0, mark);
        (1..times).for_each(|time| lives.begin(mark + time));
        lives
    }

    #[test]
    fn an_empty_disk_remembers_nothing_that_anybody_does() {
        let before = started(7, 100);
        let empty = Lives::after(0, 200);
        for life in Vec::from(before.clone()) {
            assert!(!empty.remember(life));
        }
        let told = Lives::after(before.present().number, 200);
        assert!(
            told.remember(before.present()),
            "it was told, and takes nothing of it for granted"
        );
    }

    #[test]
    fn a_copy_of_a_disk_does_not_remember_what_came_after_it() {
        let copy = started(7, 100);
        let mut disk = copy.clone();
        disk.begin(300);
        assert!(disk.remember(copy.present()));
        let mut put_back = copy;
        assert!(!put_back.remember(disk.present()));
        for mark in 400..400 + KEPT as u64 {
            put_back.begin(mark);
            assert!(!put_back.remember(disk.present()), "however often it starts");
        }
    }

    #[test]
    fn the_old_disk_in_place_of_the_new_one_is_told() {
        let mut old = started(7, 100);
        let new = Lives::after(old.present().number, 200);
        (0..5).for_each(|mark| old.begin(mark));
        assert!(!old.remember(new.present()));
    }

    proptest! {
        #[test]
        fn a_disk_remembers_all_its_lives(starts in 1u64..200) {
            let mut lives = Lives::after(0, 0);
            let mut all = vec![lives.present()];
            for mark in 1..starts {
                lives.begin(mark);
                all.push(lives.present());
            }
            for life in &all {
                prop_assert!(lives.remember(*life));
            }
            let other = Life { number: starts, mark: u64::MAX };
            prop_assert!(!lives.remember(other));
            let later = Life { number: starts + 1, mark: 0 };
            prop_assert!(!lives.remember(later));
            let written: Vec<Life> = lives.clone().into();
            prop_assert!(written.len() <= KEPT);
            prop_assert_eq!(Lives::try_from(written).unwrap(), lives);
        }

        #[test]
        fn a_life_is_read_as_written(number: u64, mark: u64) {
            let life = Life { number, mark };
            prop_assert_eq!(life.to_string().parse::<Life>(), Ok(life));
        }
    }

    #[test]
    fn what_is_no_list_of_lives_is_refused() {
        let life = |number| Life { number, mark: 0 };
        assert_eq!(Lives::try_from(vec![]), Err(LivesError));
        assert_eq!(Lives::try_from(vec![life(1), life(3)]), Err(LivesError));
        assert_eq!(Lives::try_from(vec![life(u64::MAX), life(0)]), Err(LivesError));
        assert!(Lives::try_from(vec![life(Life::LAST)]).is_ok());
        assert_eq!(Lives::try_from(vec![life(Life::LAST + 1)]), Err(LivesError), "none may follow");
        assert!("7".parse::<Life>().is_err());
    }
}
