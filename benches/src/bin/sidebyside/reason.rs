//! Why a figure may fall short, and what was tried: for the page, beside values that do.

/// The reason for a figure.
pub(crate) fn of(id: &str) -> &'static str {
    if id == "bare-100000" {
        return "the bare program touches nothing but the packet; a flow among 200,000 has to be found, and its \
                entry, found in no processor cache, is read and written.";
    }
    "no reason is known yet."
}
