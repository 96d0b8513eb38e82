//! Who sends orders and parcels, and remembers what was accepted.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chaos_test::Reading;
use chaos_test::prelude::*;

/// Customers of one service, who send something new each time: load and probe in one.
#[derive(Clone, Debug)]
pub struct Customers {
    http: reqwest::Client,
    url: String,
    sent: Arc<AtomicU64>,
    gone: Arc<AtomicBool>,
    accepted: Arc<Mutex<BTreeSet<String>>>,
}

impl Customers {
    /// Customers who POST to `<path>/<number>`.
    pub fn of(service: &Service, path: &str) -> Self {
        Self {
            http: client(),
            url: service.url(path),
            sent: Arc::default(),
            gone: Arc::default(),
            accepted: Arc::default(),
        }
    }

    /// Has them send nothing more, so that what is under way comes to an end, and tells what was
    /// accepted.
    pub fn go_home(&self) -> BTreeSet<String> {
        self.gone.store(true, Ordering::Relaxed);
        self.accepted()
    }

    fn accepted(&self) -> BTreeSet<String> {
        self.accepted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends one thing more; good is what the service answers for.
    pub async fn send(&self) -> Reading {
        let number = self.sent.fetch_add(1, Ordering::Relaxed).to_string();
        let request = self.http.post(format!("{}/{number}", self.url));
        match request.send().await {
            Ok(answer) if matches!(answer.status().as_u16(), 201 | 202) => {
                let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
                accepted.insert(number);
                Reading::Good(None)
            }
            Ok(answer) => Reading::Bad(format!("status {}", answer.status())),
            Err(error) => Reading::Bad(error.to_string()),
        }
    }
}

impl Probe for Customers {
    fn name(&self) -> String {
        "customers".to_owned()
    }

    async fn sample(&self) -> Reading {
        if self.gone.load(Ordering::Relaxed) {
            return Reading::Good(None);
        }
        self.send().await
    }
}

/// For requests to this machine only.
pub fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy();
    builder.build().expect("a client without TLS can be made")
}

/// Asks again and again, until the answer is yes.
pub async fn until(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !ask().await {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(ms(20)).await;
    }
}
