//! What to leave out of an object or an array so that the rest stays JSON.

/// Finds what to leave out so that the members that stay are separated by one comma each.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    /// Where the last member that stays ends.
    kept: Option<usize>,
}

impl Cutter {
    /// `following` is where the next member starts, if there is one.
    pub(crate) fn member(
        &mut self,
        unwanted: bool,
        (start, end): (usize, usize),
        following: Option<usize>,
        cuts: &mut Vec<(usize, usize)>,
    ) {
        if !unwanted {
            self.kept = Some(end);
            return;
        }
        let cut = match following {
            Some(next) => (start, next),
            None => (self.kept.unwrap_or(start), end),
        };
        // What lies inside goes with it.
        while cuts.last().is_some_and(|last| last.0 >= cut.0) {
            cuts.pop();
        }
        match cuts.last_mut() {
            Some(last) if last.1 >= cut.0 => last.1 = cut.1,
            _ => cuts.push(cut),
        }
    }
}
