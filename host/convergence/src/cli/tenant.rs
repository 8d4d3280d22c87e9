//! The tenant that a command is about.

use clap::Args;

/// Which tenant.
#[derive(Debug, Args)]
pub(crate) struct Tenant {
    /// Name the tenant, or give its number.
    #[arg(value_name = "TENANT", value_parser = segment)]
    tenant: String,
}

impl Tenant {
    /// The path of the API below the tenant, for example `/status`.
    pub(crate) fn path(&self, below: &str) -> String {
        path_of(&self.tenant, below)
    }

    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.tenant
    }
}

/// The path of the API below the tenant that a text means.
pub(crate) fn path_of(tenant: &str, below: &str) -> String {
    format!("/api/v1/tenant/{}{below}", encoded(tenant))
}

/// The server says what a name may be. Only what would change the path is refused here: a URL has no empty segment, and `..`
/// leads upwards however it is encoded.
pub(crate) fn segment(text: &str) -> Result<String, String> {
    match text {
        "" => Err("give a tenant's name or number".to_owned()),
        "." | ".." => Err("this is not a tenant's name; give a name or a number".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// Percent-encodes everything that is not a letter, a digit or one of `-._~`.
pub(crate) fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_a_path_whatever_is_in_it() {
        let path = |text: &str| Tenant { tenant: text.to_owned() }.path("/status");
        assert_eq!(path("36"), "/api/v1/tenant/36/status");
        assert_eq!(path("My App"), "/api/v1/tenant/My%20App/status");
        assert_eq!(path("a/../b?c#d%+"), "/api/v1/tenant/a%2F..%2Fb%3Fc%23d%25%2B/status");
        assert_eq!(path("é"), "/api/v1/tenant/%C3%A9/status");
        assert!(segment("").is_err() && segment(".").is_err() && segment("..").is_err() && segment("...").is_ok());
    }
}
