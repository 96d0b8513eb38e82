//! Sends an HTTP request.

use std::sync::OnceLock;

use super::ready::Ready;
use super::{Probe, with_slash};
use crate::error::with_causes;
use crate::model::sample::Reading;
use crate::system::service::{Answer, ReadyCheck, Unit};

/// What is asked over HTTP, and what counts as a good answer.
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
            get(fresh(), &url, &self.expected).await
        })
    }
}

/// Sends a GET to a service through its link, or to any address.
///
/// Each sample has a connection of its own, like a new client: a kept one would hide for
/// how long nobody can connect.
#[derive(Debug, Clone)]
pub struct HttpProbe {
    pub(crate) name: String,
    /// The service that it asks.
    service: Option<String>,
    pub(crate) url: String,
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
            expected: Expected::Success,
        }
    }

    /// Only this status is good; without it, any below 400.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.expected = Expected::Status(status);
        self
    }

    pub(crate) fn of_service(mut self, service: &str, name: String) -> Self {
        self.service = Some(service.to_owned());
        self.name = name;
        self
    }
}

impl Probe for HttpProbe {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    async fn sample(&self) -> Reading {
        match get(fresh(), &self.url, &self.expected).await {
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

async fn get(client: &reqwest::Client, url: &str, expected: &Expected) -> Result<(), String> {
    let answer = client
        .get(url)
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
