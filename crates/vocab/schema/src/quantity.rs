//! Quantities as Go prints them: the shortest form in the format that the client used.
//!
//! `km_api::quantity` has the arithmetic; this module only keeps the format (binary, decimal, exponent).

use km_api::quantity::{ParseQuantityError, Quantity};

/// Returns `text` in canonical form: `0.5` becomes `500m`, `1024Mi` becomes `1Gi`, `0.5Gi` becomes `512Mi`.
///
/// Exponent forms (`1e3`) keep their spelling.
///
/// # Errors
///
/// When `text` is not a quantity.
pub fn canonical(text: &str) -> Result<String, ParseQuantityError> {
    let text = text.trim();
    let quantity = Quantity::parse(text)?;
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-'));
    if suffix.len() > 1 && suffix.starts_with(['e', 'E']) {
        return Ok(text.to_owned());
    }
    // apimachinery resource.Quantity CanonicalizeBytes: below 1024 binary amounts print as decimal ones.
    let units = quantity.units_ceil();
    let whole = Quantity::from_units(units) == quantity;
    if suffix.ends_with('i') && whole && units.unsigned_abs() >= 1024 {
        return Ok(quantity.to_binary_string());
    }
    Ok(quantity.to_string())
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn quantities_print_as_go_prints_them() {
        for (input, output) in [
            ("0.5", "500m"),
            ("1", "1"),
            ("1000m", "1"),
            ("100m", "100m"),
            ("1024Mi", "1Gi"),
            ("0.5Gi", "512Mi"),
            ("64Mi", "64Mi"),
            ("512", "512"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("1.5", "1500m"),
            ("0.1Gi", "107374182400m"),
            ("1Ki", "1Ki"),
            ("0", "0"),
        ] {
            assert_eq!(canonical(input).as_deref(), Ok(output), "{input}");
        }
        assert!(canonical("abc").is_err());
    }
}
