//! How much work a value may cost.
//!
//! Work is counted in steps, the same on every machine: a byte looked at once in a simple loop is one. Each loop of the
//! inspection pays for what it is about to look at, and ends where the budget does not cover it. What was not looked at
//! then is not passed: the value is refused as [`Class::Excess`](crate::Class::Excess).
//!
//! A step takes about a nanosecond (`docs/inspection-worst-case.md`).

/// Steps that are there whatever the length: what a value of a few bytes may cost.
const FLOOR: u64 = 12_000;

/// Steps for each byte.
const PER_BYTE: u64 = 180;

/// Steps that may still be taken for a value, or for all the values of a request.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    left: u64,
    spent: u64,
    out: bool,
}

impl Budget {
    /// What `bytes` bytes may cost, in one value or in many.
    pub fn of(bytes: usize) -> Budget {
        Budget { left: Budget::steps(bytes), spent: 0, out: false }
    }

    /// How many steps `bytes` bytes may cost.
    pub fn steps(bytes: usize) -> u64 {
        FLOOR + PER_BYTE * bytes as u64
    }

    /// Takes `steps`; `false` where fewer are left.
    pub(crate) fn spend(&mut self, steps: usize) -> bool {
        match self.left.checked_sub(steps as u64) {
            Some(left) => {
                self.left = left;
                self.spent += steps as u64;
            }
            None => {
                self.left = 0;
                self.out = true;
            }
        }
        !self.out
    }

    /// Notes that something is not looked at, whatever is left.
    pub(crate) fn exhaust(&mut self) {
        self.left = 0;
        self.out = true;
    }

    /// Whether something could not be looked at.
    pub fn is_out(&self) -> bool {
        self.out
    }

    /// How many steps were taken.
    pub fn spent(&self) -> u64 {
        self.spent
    }
}
