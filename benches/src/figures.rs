//! Figures of repeated runs: medians and other ranks.

/// Measurements, in ascending order.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// These, in whatever order they came.
    #[must_use]
    pub fn new(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        Self(all)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one in the middle; the upper one of two. Not a number when there is none.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.rank(0.5)
    }

    /// The least one that is not below this share of all: 0.95 for the 95th percentile, 1 for the largest.
    #[must_use]
    pub fn rank(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = (self.0.len() as f64 * share) as usize;
        self.0.get(at.min(last)).copied().unwrap_or(f64::NAN)
    }

    /// The smallest and the largest.
    #[must_use]
    pub fn span(&self) -> (f64, f64) {
        (self.rank(0.0), self.rank(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_sorted_figures() {
        let figures = Figures::new((1..=100).rev().map(f64::from).collect());
        assert_eq!((figures.median(), figures.rank(0.95), figures.span()), (51.0, 96.0, (1.0, 100.0)));
        assert_eq!(Figures::new(vec![3.0]).median(), 3.0);
        assert!(Figures::default().median().is_nan());
    }
}
