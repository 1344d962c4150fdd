//! A consumer never holds more unsettled messages than it allowed.

use super::{
    StepCheck,
    step::{Step, Steps, What},
};

/// See the module.
#[derive(Debug, Default)]
pub struct Credit;

impl StepCheck for Credit {
    fn name(&self) -> &'static str {
        "credit"
    }

    fn step(&mut self, step: &Step, names: &Steps) -> Result<(), String> {
        match step.what {
            What::Dispatch { consumer, in_flight, credit, .. } if in_flight > credit => {
                Err(format!(
                    "{} holds {in_flight} unsettled messages, but allowed {credit}",
                    names.text(consumer)
                ))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{step::NameId, testing::*},
        *,
    };

    #[test]
    fn more_than_the_credit_is_refused() {
        let holding = |in_flight| {
            by(
                0,
                What::Dispatch {
                    shard: 1,
                    term: 1,
                    consumer: NameId(1),
                    message: NameId(2),
                    redelivered: false,
                    in_flight,
                    credit: 3,
                },
            )
        };
        accepts(&mut Credit, [holding(3)]);
        refuses(&mut Credit, [holding(4)], "allowed 3");
    }
}
