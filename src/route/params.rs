//! Where the parameters of a path stand in it.

use crate::exchange::CanonicalPath;

/// Parameters that a match holds without allocating.
const FEW: usize = 3;

/// The parameters of a match: where each stands in the canonical path, in the pattern's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    len: usize,
    first: [(u32, u32); FEW],
    others: Vec<(u32, u32)>,
}

impl Params {
    /// The text of parameter `index`, percent-encoded as it stands in `path`.
    pub fn get<'a>(&self, index: usize, path: &'a CanonicalPath) -> Option<&'a str> {
        let mut places = self.first.iter().chain(&self.others).take(self.len);
        let (start, end) = *places.nth(index)?;
        path.as_str().get(start as usize..end as usize)
    }

    pub(super) fn push(&mut self, start: usize, end: usize) {
        let place = (start as u32, end as u32);
        match self.first.get_mut(self.len) {
            Some(first) => *first = place,
            None => self.others.push(place),
        }
        self.len += 1;
    }

    pub(super) fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
        match self.first.get_mut(self.len) {
            Some(first) => *first = (0, 0),
            None => drop(self.others.pop()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Params {
        /// The text of every parameter, in order.
        pub fn all<'a>(&self, path: &'a CanonicalPath) -> impl Iterator<Item = &'a str> {
            (0..self.len).map(|index| self.get(index, path).unwrap())
        }
    }

    fn check(params: &Params, path: &CanonicalPath, expected: &[&str]) {
        let found: Vec<&str> = params.all(path).collect();
        assert_eq!(found, expected);
        assert_eq!(params.get(expected.len(), path), None);
    }

    #[test]
    fn any_number_of_parameters_is_held() {
        let path = CanonicalPath::new("/abcdef".to_owned()).unwrap();
        let letters = ["a", "b", "c", "d", "e", "f"];
        let mut params = Params::default();
        for count in 1..=6 {
            params.push(count, count + 1);
            check(&params, &path, letters.get(..count).unwrap());
        }
        for count in (0..6).rev() {
            params.pop();
            check(&params, &path, letters.get(..count).unwrap());
        }
        assert_eq!(params, Params::default());
    }
}
