//! Which strategy and hash function to use, and why.
//!
//! The choice is made by rules that the report can state: drop hash functions that behave worse
//! than chance where others do not, strategies that refuse a change which others handle, those that
//! give up something which the others keep, and those that the broker does not run; then take what
//! is lowest in (peak ÷ bound) × (moved ÷ optimal), both of which are 1 at best; and of those within
//! one per cent of the lowest the fastest lookup.

mod candidate;

#[cfg(test)]
mod tests;

mod words;

use crate::compare::result::CompareResult;

use self::candidate::TIE;
pub(crate) use self::candidate::{
    Candidate, SIGNIFICANT, SUSPICIOUS, candidates, suspicious_hashes,
};

use self::words::{broker_caution, cautions, reasons, sentence};

/// What to use for the focus of a comparison, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// The strategy.
    pub strategy: String,
    /// The hash function.
    pub hash: String,
    /// The recommendation in one sentence.
    pub sentence: String,
    /// Why, a sentence for each of balance, movement, speed and hash quality, as far as measured.
    pub reasons: Vec<String>,
    /// What it does not solve.
    pub cautions: Vec<String>,
}

/// The recommendation for the focus; `None` if nothing but baselines was measured there.
pub fn recommend(result: &CompareResult) -> Option<Recommendation> {
    let all = candidates(result);
    let mut fit: Vec<&Candidate> = all.iter().filter(|c| !c.baseline).collect();
    let suspicious = suspicious_hashes(result);
    keep_if_any(&mut fit, |c| !suspicious.contains(c.hash));
    let refuses = |c: &Candidate| result.refusals.iter().any(|r| r.strategy == c.strategy);
    keep_if_any(&mut fit, |c| !refuses(c));
    keep_if_any(&mut fit, |c| c.gives_up.is_none());
    let best = best_of(&fit)?;
    keep_if_any(&mut fit, |c| c.outside_broker.is_none());
    let chosen = best_of(&fit)?;
    let mut cautions = cautions(result, chosen, &all);
    cautions.extend(broker_caution(chosen, best));
    Some(Recommendation {
        strategy: chosen.strategy.to_owned(),
        hash: chosen.hash.to_owned(),
        sentence: sentence(result, chosen, &suspicious),
        reasons: reasons(result, chosen, &all, &suspicious),
        cautions,
    })
}

/// The lowest score; of those that tie with it the fastest.
fn best_of<'a, 'b>(fit: &[&'a Candidate<'b>]) -> Option<&'a Candidate<'b>> {
    let best = fit.iter().map(|c| c.score()).min_by(f64::total_cmp)?;
    let tied = fit.iter().filter(|c| c.score() <= best * TIE);
    tied.min_by(|a, b| a.lookup_ns().total_cmp(&b.lookup_ns())).copied()
}

/// Drops what does not meet the condition, unless nothing does.
fn keep_if_any<'a, 'b>(fit: &mut Vec<&'a Candidate<'b>>, wanted: impl Fn(&Candidate) -> bool) {
    if fit.iter().any(|c| wanted(c)) {
        fit.retain(|c| wanted(c));
    }
}
