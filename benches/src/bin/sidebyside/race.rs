//! Contenders in turns, round after round: what the machine does meanwhile, it does to all of them.

use crate::failure::Failure;
use crate::median::{median, ratios};
use crate::plan::Plan;
use crate::sample::{Sample, undisturbed};

/// Takes one sample of a contender.
type Runner<'a> = Box<dyn FnMut() -> Result<Sample, Failure> + 'a>;

/// Contenders before the start.
#[derive(Default)]
pub(crate) struct Race<'a> {
    runners: Vec<(&'static str, Runner<'a>)>,
}

impl<'a> Race<'a> {
    /// Enters a contender.
    pub(crate) fn enter(
        mut self,
        name: &'static str,
        take: impl FnMut() -> Result<Sample, Failure> + 'a,
    ) -> Self {
        self.runners.push((name, Box::new(take)));
        self
    }

    /// All rounds; before them one that does not count, which warms caches up.
    pub(crate) fn run(mut self, plan: &Plan) -> Result<Results, Failure> {
        for (_, take) in &mut self.runners {
            take()?;
        }
        let mut results =
            Results { names: self.runners.iter().map(|(name, _)| *name).collect(), rounds: vec![] };
        for _ in 0..plan.rounds {
            let mut round = Vec::new();
            for (_, take) in &mut self.runners {
                round.push(undisturbed(plan.keeps_disturbed, take)?);
            }
            results.rounds.push(round);
        }
        Ok(results)
    }
}

/// What came of a race: for each round a value of each contender, none where it was disturbed throughout.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Results {
    names: Vec<&'static str>,
    rounds: Vec<Vec<Option<f64>>>,
}

impl Results {
    /// The values of a contender, round by round.
    pub(crate) fn of(&self, name: &str) -> Vec<Option<f64>> {
        let place = self.names.iter().position(|known| *known == name);
        let value = |round: &Vec<Option<f64>>| round.get(place?).copied().flatten();
        self.rounds.iter().map(value).collect()
    }

    /// A contender's median.
    pub(crate) fn median(&self, name: &str) -> Option<f64> {
        median(&self.of(name).into_iter().flatten().collect::<Vec<_>>())
    }

    /// The ratios of the rounds.
    pub(crate) fn ratios(&self, ours: &str, theirs: &str) -> Vec<f64> {
        ratios(&self.of(ours), &self.of(theirs))
    }

    /// The contenders in their order.
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn contenders_take_turns_and_the_first_round_does_not_count() {
        let (order, count) = (RefCell::new(String::new()), RefCell::new(0.0));
        let value = |name: char, value: f64| {
            order.borrow_mut().push(name);
            // The machine gets slower from sample to sample.
            *count.borrow_mut() += 1.0;
            Ok(Sample { value: value / *count.borrow(), delay: 0.0 })
        };
        let plan = Plan { rounds: 3, ..Plan::default() };
        let race = Race::default().enter("a", || value('a', 2.0)).enter("b", || value('b', 1.0));
        let results = race.run(&plan).unwrap();
        assert_eq!(order.into_inner(), "abababab");
        assert_eq!(results.ratios("a", "b").len(), 3);
        assert_eq!(results.names(), ["a", "b"]);
        assert_eq!(results.median("c"), None);
        assert_eq!(results.median("b"), Some(1.0 / 6.0));
    }
}
