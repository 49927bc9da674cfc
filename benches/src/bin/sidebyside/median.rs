//! Medians, and ratios taken within a round: from round to round the machine is another.

/// The value in the middle, of an even number of values halfway between the two.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    sorted.get(middle.checked_sub(1)?).map(|lower| f64::midpoint(*lower, upper))
}

/// The ratio of each round in which both were measured.
pub(crate) fn ratios(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Vec<f64> {
    let both = ours.iter().zip(theirs).filter_map(|(ours, theirs)| Some((ours.as_ref()?, theirs.as_ref()?)));
    both.filter(|(_, theirs)| **theirs != 0.0).map(|(ours, theirs)| ours / theirs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_does_not_mind_the_ends() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN]), None);
        assert_eq!(median(&[4.0]), Some(4.0));
        assert_eq!(median(&[1e9, 2.0, 3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 0.0]), Some(1.5));
    }

    #[test]
    fn a_ratio_is_of_one_round() {
        // The machine became half as fast after the second round: the ratio did not change.
        let ours = [Some(4.0), Some(4.0), Some(2.0), Some(2.0), None];
        let theirs = [Some(2.0), Some(2.0), Some(1.0), None, Some(1.0)];
        assert_eq!(ratios(&ours, &theirs), [2.0, 2.0, 2.0]);
        // The ratio of the medians would be another: 3.0 against 1.5 and so on.
        assert_eq!(median(&ratios(&ours, &theirs)), Some(2.0));
        assert_eq!(ratios(&[Some(1.0)], &[Some(0.0)]), Vec::<f64>::new());
    }
}
