//! Boxes what is large where it will stand.

use std::pin::Pin;

/// A box of what `make` returns.
///
/// `Box::pin(value)` makes the value on the stack and then copies all of it, which for a future is
/// also the room for everything that it has not yet begun. Here there is a place before there is
/// a value, so that the compiler writes what there is of it there.
#[inline]
pub fn pin<T>(make: impl FnOnce() -> T) -> Pin<Box<T>> {
    Box::into_pin(new(make))
}

/// The same without the pin.
#[inline]
pub fn new<T>(make: impl FnOnce() -> T) -> Box<T> {
    Box::write(Box::new_uninit(), make())
}
