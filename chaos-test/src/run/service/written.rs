//! Services and addresses in the values of fixtures that a whole run shares: written down by
//! their names, and found again by those who read them.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Address, Service, link_name};
use crate::run::fixtures::of_run;
use crate::run::inner::Inner;
use crate::run::starting::EVERYBODY;

impl Service {
    /// A service that a context has made itself.
    pub(in crate::run) fn made_in(inner: &Arc<Inner>, name: &str) -> Option<Self> {
        let services = inner.world.services();
        let unit = services.iter().find(|unit| unit.name() == name)?;
        let ports = unit.endpoints().into_iter().filter_map(|(port, _)| {
            let link = inner.world.link(&link_name(EVERYBODY, name, port))?;
            Some((port, link))
        });
        Some(Self {
            name: name.into(),
            ports: ports.collect(),
            inner: Arc::clone(inner),
        })
    }
}

impl Serialize for Service {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

/// Only as part of the value of a fixture with the scope `"run"`.
impl<'de> Deserialize<'de> for Service {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        of_run::service_being_read(&name).map_err(de::Error::custom)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer).map(Self)
    }
}
