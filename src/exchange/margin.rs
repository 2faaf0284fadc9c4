//! Where buffers begin, so that what is copied out of them is copied fast.
//!
//! The C library and the kernel copy with `rep movsb` where the processor says that it is fast. On
//! AMD's Zen 3 and 4 it is not where the target lies 1 to 31 bytes further into its page than the
//! source into its own: 2 GB/s in place of 40 (glibc bug 30994; glibc 2.39 copies otherwise). A
//! buffer that begins with a page, copied behind the header of a TLS record, is just that: these
//! copies took more than a quarter of all time that large answers over TLS cost.

/// Length of the header of a TLS record (RFC 8446, 5.1), behind which data is copied.
const RECORD_HEADER: usize = 5;

/// Where a buffer begins whose bytes are sent next. As far behind a cache line as they will be in
/// a record.
pub const OUT: usize = RECORD_HEADER;

/// Where a buffer begins that is read into, and whose bytes are then sent, perhaps by way of a
/// buffer that begins at [`OUT`], behind a head. So far in that fields which are added to the head
/// hardly make up for it.
pub const IN: usize = 256 + OUT;
