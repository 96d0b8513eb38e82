//! Sends an HTTP request.

use std::sync::OnceLock;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::ready::Ready;
use super::{Probe, traceparent, with_slash};
use crate::error::with_causes;
use crate::model::sample::Reading;
use crate::system::service::{Answer, ReadyCheck, Unit};

/// What is asked over HTTP, and what counts as a good answer.
///
/// See [`http`] for an example.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    path: String,
    expected: Expected,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expected {
    /// Any status below 400.
    Success,
    Status(u16),
}

/// A request for a path, as a ready check of a service: good when it is answered with a
/// status below 400.
///
/// ```
/// use chaos_test::{Program, http};
/// let program = Program::new("checkout").ready(http("/health").status(200));
/// ```
#[must_use]
pub fn http(path: impl Into<String>) -> HttpRequest {
    HttpRequest {
        path: path.into(),
        expected: Expected::Success,
    }
}

impl HttpRequest {
    /// Only this status is good.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.expected = Expected::Status(status);
        self
    }
}

impl From<HttpRequest> for Ready {
    fn from(request: HttpRequest) -> Self {
        Self::new(request)
    }
}

impl ReadyCheck for HttpRequest {
    fn describe(&self) -> String {
        let status = match self.expected {
            Expected::Success => "a status below 400".to_owned(),
            Expected::Status(status) => format!("status {status}"),
        };
        format!("waiting for {status} from {}", self.path)
    }

    fn check<'a>(&'a self, service: &'a dyn Unit) -> Answer<'a, Result<(), String>> {
        Box::pin(async move {
            let endpoints = service.endpoints();
            let Some((_, address)) = endpoints.first() else {
                return Err("the service has no port".to_owned());
            };
            let url = format!("http://{address}{}", with_slash(&self.path));
            // A connection of its own, so that the check is never answered by what is
            // left of the process before.
            get(fresh(), &url, HeaderMap::new(), &self.expected).await
        })
    }
}

/// Sends a GET to a service through its link, or to any address.
///
/// Each sample has a connection of its own, like a new client: a kept one would hide for
/// how long nobody can connect.
///
/// Each sample is a span in the test's trace, by the header `traceparent` of
/// [W3C's Trace Context](https://www.w3.org/TR/trace-context/), unless you set that yourself:
/// where the system under test records traces, a fault shows in them. The trace's id stands in
/// the journal and at the end of a failure.
///
/// ```no_run
/// # async fn body(chaos: &chaos_test::ChaosContext, shop: &chaos_test::Service) -> chaos_test::Result {
/// use chaos_test::prelude::*;
/// let orders = shop.get("/orders/42").status(200).header("accept", "application/json");
/// let orders = chaos.monitor(orders.every(ms(20)).sample_timeout(secs(2)));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct HttpProbe {
    pub(crate) name: String,
    /// The service that it asks.
    service: Option<String>,
    pub(crate) url: String,
    headers: HeaderMap,
    expected: Expected,
}

impl HttpProbe {
    /// A GET of an absolute address.
    ///
    /// ```
    /// use chaos_test::{HttpProbe, Probe, ms};
    /// let pace = HttpProbe::get("http://127.0.0.1:8080/health").status(200).every(ms(50));
    /// ```
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        let url = url.into();
        Self {
            name: format!("GET {url}"),
            service: None,
            url,
            headers: HeaderMap::new(),
            expected: Expected::Success,
        }
    }

    /// Only this status is good; without it, any below 400.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.expected = Expected::Status(status);
        self
    }

    /// Sends this header with each sample. What it says stands in no report.
    ///
    /// ```
    /// use chaos_test::HttpProbe;
    /// let probe = HttpProbe::get("http://127.0.0.1:8080/orders").header("x-tenant", "blue");
    /// ```
    ///
    /// # Panics
    ///
    /// If HTTP allows no such name or value.
    #[must_use]
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            panic!("`{name}` is no name that an HTTP header may have");
        };
        let Ok(mut value) = HeaderValue::from_str(value) else {
            panic!(
                "the value of the HTTP header `{name}` holds what no header may, such as a line break"
            );
        };
        value.set_sensitive(true);
        self.headers.append(header, value);
        self
    }

    pub(crate) fn of_service(mut self, service: &str, name: String) -> Self {
        self.service = Some(service.to_owned());
        self.name = name;
        self
    }
}

const TRACEPARENT: &str = "traceparent";

impl Probe for HttpProbe {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    async fn sample(&self) -> Reading {
        let mut headers = self.headers.clone();
        if !headers.contains_key(TRACEPARENT)
            && let Some(parent) = traceparent()
            && let Ok(parent) = HeaderValue::from_str(&parent)
        {
            headers.insert(TRACEPARENT, parent);
        }
        match get(fresh(), &self.url, headers, &self.expected).await {
            Ok(()) => Reading::Good(None),
            Err(why) => Reading::Bad(why),
        }
    }
}

/// One client for all probes; it keeps no connection and follows no redirect.
fn fresh() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client without TLS has nothing to load")
    })
}

async fn get(
    client: &reqwest::Client,
    url: &str,
    headers: HeaderMap,
    expected: &Expected,
) -> Result<(), String> {
    let answer = client
        .get(url)
        .headers(headers)
        .send()
        .await
        .map_err(|error| with_causes(&error.without_url()))?;
    let status = answer.status();
    // An answer that breaks off is no answer.
    answer
        .bytes()
        .await
        .map_err(|error| with_causes(&error.without_url()))?;
    let good = match expected {
        Expected::Success => status.as_u16() < 400,
        Expected::Status(expected) => status.as_u16() == *expected,
    };
    if good {
        Ok(())
    } else {
        Err(format!("status {status}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "`no name` is no name that an HTTP header may have")]
    fn a_header_has_a_name_that_http_allows() {
        let _ = HttpProbe::get("http://127.0.0.1/").header("no name", "x");
    }

    #[test]
    #[should_panic(expected = "the value of the HTTP header `x` holds what no header may")]
    fn a_header_has_a_value_that_http_allows() {
        let _ = HttpProbe::get("http://127.0.0.1/").header("x", "one\r\ntwo: 2");
    }

    #[test]
    fn what_a_header_says_is_not_shown() {
        let probe = HttpProbe::get("http://127.0.0.1/").header("authorization", "Bearer key");
        let shown = format!("{probe:?}");
        assert!(
            shown.contains("authorization") && !shown.contains("Bearer"),
            "{shown}"
        );
    }
}
