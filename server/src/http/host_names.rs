//! The names under which the HTTP API is reached, and the pages that may use it.
//!
//! A web page that a browser on this machine shows can send requests to this machine, and by DNS rebinding under a name
//! of its own. Guarantees that where the machine's own user is trusted, only requests to a loopback name with the right
//! port, or to a configured name, are handled; and that no request which a page of another origin sends is handled.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, Method, Uri, Version, header};

use super::error::ApiError;

/// Bytes of the longest `Host` that is parsed: a host name of 253 bytes, a dot and a port.
const HOST_BYTES_MAX: usize = 260;

/// The names that requests may be sent to.
#[derive(Debug, Clone)]
pub(super) struct HostNames {
    /// Configured names, each as `name` or `name:port`, in lower case.
    pub(super) names: Vec<String>,
    /// The port of loopback names, where the machine's own user is trusted.
    pub(super) loopback_port: Option<u16>,
}

impl HostNames {
    /// Checks the host of a request. Where neither a name is configured nor the machine's own user trusted, any
    /// well-formed host is accepted: a rebound name has no certificate.
    pub(super) fn check(&self, version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => Some(host.to_str().map_err(|_| ApiError::BadHost("is not a host"))?),
            // HTTP/1.0 has no `Host`, and no browser sends HTTP/1.0.
            (None, _) if version < Version::HTTP_11 => None,
            (None, _) => return Err(ApiError::BadHost("is missing")),
            (Some(_), Some(_)) => return Err(ApiError::BadHost("is there twice")),
        };
        // A request line with a whole URI names the host, too.
        let of_uri = uri.authority().map(|authority| authority.as_str());
        for host in [host, of_uri].into_iter().flatten() {
            let (name, port) = split_host(host).ok_or(ApiError::BadHost("is not a host"))?;
            if !self.accepts(name, port) {
                return Err(ApiError::WrongHost);
            }
        }
        Ok(())
    }

    fn accepts(&self, name: &str, port: Option<u16>) -> bool {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let is_configured = self.names.iter().any(|configured| {
            split_host(configured)
                .is_some_and(|(own, own_port)| own == name && (own_port.is_none() || own_port == port))
        });
        match self.loopback_port {
            Some(own) => is_configured || (is_loopback(name) && port.is_none_or(|port| port == own)),
            None => is_configured || self.names.is_empty(),
        }
    }
}

fn is_loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || address
            .parse()
            .is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

/// Splits `name`, `name:port`, `[address]` or `[address]:port`. Brackets stay with the name.
pub(crate) fn split_host(host: &str) -> Option<(&str, Option<u16>)> {
    if host.len() > HOST_BYTES_MAX {
        return None;
    }
    let end = if host.starts_with('[') {
        host.find(']')? + 1
    } else {
        host.find(':').unwrap_or(host.len())
    };
    let (name, rest) = host.split_at(end);
    let is_name = match name.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        }
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    is_name.then_some((name, port))
}

/// Refuses a request that a browser sent for a page of another origin. Programs that are not browsers send none of these
/// headers. A page of another origin may lead the user here by a link.
pub(super) fn check_origin(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text("host");
    let is_own = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some_and(|authority| host.is_some_and(|host| host.eq_ignore_ascii_case(authority)))
    };
    if headers.get_all(header::ORIGIN).iter().count() > 1
        || text("origin").is_some_and(|origin| !is_own(origin))
    {
        return Err(ApiError::CrossOrigin);
    }
    let is_link = method == Method::GET && text("sec-fetch-mode") == Some("navigate");
    match text("sec-fetch-site") {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if is_link => Ok(()),
        Some(_) => Err(ApiError::CrossOrigin),
    }
}

/// Checks that the body of a request is declared as JSON, which no page of another origin can do without asking first.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(declared), None) = (types.next(), types.next()) else {
        return Err(ApiError::NotJson);
    };
    let declared = declared.to_str().unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(ApiError::NotJson)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn checked(names: &HostNames, host: &str) -> Result<(), ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        names.check(Version::HTTP_11, &Uri::from_static("/v1/stats"), &headers)
    }

    fn on_loopback() -> HostNames {
        HostNames {
            names: Vec::new(),
            loopback_port: Some(8_080),
        }
    }

    #[test]
    fn only_loopback_names_with_the_port_are_accepted_on_loopback() {
        for host in [
            "localhost:8080",
            "LocalHost:8080",
            "localhost.:8080",
            "localhost",
            "127.0.0.1:8080",
            "127.8.8.8:8080",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:8080",
        ] {
            assert_eq!(checked(&on_loopback(), host), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example:8080",
            "localhost:8081",
            "127.0.0.1:80",
            "127.0.0.1.evil.example:8080",
            "0.0.0.0:8080",
            "[::]:8080",
            "192.168.1.5:8080",
            "2130706433:8080",
        ] {
            assert_eq!(checked(&on_loopback(), host), Err(ApiError::WrongHost), "{host}");
        }
        for host in [
            "",
            ":8080",
            "a b",
            "user@localhost:8080",
            "localhost:x",
            "localhost:",
            "[::1",
            "[::1]x",
            "[localhost]",
            "localhost:8080:8080",
            "localhost/",
            "localhost:99999",
            &"a".repeat(300),
        ] {
            let refused = checked(&on_loopback(), host);
            assert!(
                matches!(refused, Err(ApiError::BadHost(_) | ApiError::WrongHost)),
                "{host}: {refused:?}"
            );
        }
    }

    #[test]
    fn configured_names_are_accepted_with_their_port_or_with_any() {
        let mut names = on_loopback();
        names.names = vec!["play.example.org".to_owned(), "tunnel:9090".to_owned()];
        for host in [
            "play.example.org",
            "Play.Example.Org:443",
            "tunnel:9090",
            "localhost:8080",
        ] {
            assert_eq!(checked(&names, host), Ok(()), "{host}");
        }
        for host in ["tunnel", "tunnel:9091", "example.org"] {
            assert_eq!(checked(&names, host), Err(ApiError::WrongHost), "{host}");
        }
        names.loopback_port = None;
        assert_eq!(checked(&names, "localhost:8080"), Err(ApiError::WrongHost));
        names.names.clear();
        assert_eq!(checked(&names, "anything.example:1"), Ok(()));
        assert_eq!(
            checked(&names, "no host"),
            Err(ApiError::BadHost("is not a host"))
        );
    }

    #[test]
    fn request_names_one_host_and_a_whole_uri_names_it_too() {
        let names = on_loopback();
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let mut headers = HeaderMap::new();
        let missing = names.check(Version::HTTP_11, &uri("/"), &headers);
        assert_eq!(missing, Err(ApiError::BadHost("is missing")));
        assert_eq!(names.check(Version::HTTP_10, &uri("/"), &headers), Ok(()));
        headers.append(header::HOST, HeaderValue::from_static("localhost:8080"));
        let absolute = |text| names.check(Version::HTTP_11, &uri(text), &headers);
        assert_eq!(absolute("http://localhost:8080/v1/stats"), Ok(()));
        assert_eq!(absolute("http://evil.example/v1/stats"), Err(ApiError::WrongHost));
        headers.append(header::HOST, HeaderValue::from_static("localhost:8080"));
        let twice = names.check(Version::HTTP_11, &uri("/"), &headers);
        assert_eq!(twice, Err(ApiError::BadHost("is there twice")));
    }

    #[test]
    fn requests_of_pages_of_other_origins_are_refused() {
        let check = |method: Method, of_page: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("localhost:8080"));
            for &(name, value) in of_page {
                headers.append(name, HeaderValue::from_static(value));
            }
            check_origin(&method, &headers).is_ok()
        };
        assert!(check(Method::POST, &[]), "a program");
        assert!(check(Method::POST, &[("origin", "http://localhost:8080")]));
        assert!(check(Method::POST, &[("sec-fetch-site", "same-origin")]));
        assert!(check(
            Method::GET,
            &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]
        ));
        assert!(check(
            Method::GET,
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]
        ));
        for page in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "http://localhost:3000")],
            &[("origin", "localhost:8080")],
            &[
                ("origin", "http://localhost:8080"),
                ("origin", "http://evil.example"),
            ],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "odd")],
        ] {
            for method in [Method::POST, Method::GET, Method::OPTIONS] {
                assert!(!check(method.clone(), page), "{method} {page:?}");
            }
        }
        let form = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert!(!check(Method::POST, &form), "a form of another page");
    }

    #[test]
    fn body_is_declared_as_json() {
        let check = |types: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for declared in types {
                headers.append(header::CONTENT_TYPE, HeaderValue::from_static(declared));
            }
            check_content_type(&headers).is_ok()
        };
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;x=y",
        ] {
            assert!(check(&[good]), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "text/plain; application/json",
            "application/json, text/plain",
        ] {
            assert!(!check(&[bad]), "{bad}");
        }
        assert!(!check(&[]));
        assert!(!check(&["application/json", "text/plain"]));
    }
}
