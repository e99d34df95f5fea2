//! Puts the service together: the store, the operations on it, the services over them, and REST over those.

use std::sync::Arc;

use tonic::service::Routes;

use super::{Error, Parts, Running, start};
use crate::app::{self, App, Clock};
use crate::config::Settings;
use crate::gateway::{BadRule, Gateway, Style, Styles};
use crate::pb;
use crate::pb::c1::api::policy::v1 as c1;
use crate::rpc;
use crate::store::{self, Device, Engine};
use crate::telemetry::Metrics;

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] store::OpenError),
    /// The store was opened but cannot be read.
    #[error(transparent)]
    App(#[from] app::OpenError),
    /// The policies in the store cannot be read.
    #[error("the policies in the store cannot be read: {0}")]
    Policies(app::Error),
    /// An http rule in the protos cannot be served.
    #[error(transparent)]
    Rule(#[from] BadRule),
    /// The ports cannot be served.
    #[error(transparent)]
    Start(#[from] Error),
    /// The thread that opened the store is gone.
    #[error("opening the store was interrupted")]
    Interrupted,
}

/// A service that is up, and the store under it.
#[derive(Debug)]
pub struct Assembled {
    /// The ports.
    pub running: Running,
    /// To be closed once the ports have ended.
    pub store: Arc<dyn Engine>,
}

/// Opens the store that the settings name and serves it on the ports that they name. The clock is handed in, and so is
/// how the store asks for durability and room, so that tests can have them refused.
pub async fn assemble(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    device: Device,
) -> Result<Assembled, AssemblyError> {
    let metrics = Arc::new(Metrics::default());
    let mut options = store::Options { device, ..store::Options::new(settings.store.clone()) };
    let measured = metrics.store();
    options.on_group = Some(Arc::new(move |group| {
        measured.commit_batch(group.commits);
        measured.fsync(group.fsync);
    }));
    let opened = tokio::task::spawn_blocking(move || store::open(options)).await;
    let store = opened.map_err(|_| AssemblyError::Interrupted)??;
    let app = Arc::new(App::open(Arc::clone(&store), clock, settings.empty_approvers).await?);
    report_uncompiled(&app).await?;
    let parts = Parts {
        services: services(&app, settings.max_message_bytes.bytes() as usize),
        descriptors: pb::DESCRIPTORS,
        gateway: Gateway::new(pb::pool(), &Styles::all(Style::CONDUCTORONE))?,
        metrics,
        health: store.health(),
    };
    Ok(Assembled { running: start(settings, parts).await?, store })
}

/// Lists the policies that an earlier version stored and this one would not. They can be read and deleted.
async fn report_uncompiled(app: &App) -> Result<(), AssemblyError> {
    for app::Uncompiled { id, violations } in app.uncompiled().await.map_err(AssemblyError::Policies)? {
        let violations: Vec<String> =
            violations.iter().map(|one| format!("{} {}: {}", one.code, one.path, one.message)).collect();
        tracing::warn!(policy = id, violations = violations.join("; "), "a stored policy does not compile");
    }
    Ok(())
}

/// Every service of this crate. tonic's own limit is set to ours, which the pipeline has enforced by then.
fn services(app: &Arc<App>, message_max_bytes: usize) -> Routes {
    let policies = c1::policies_server::PoliciesServer::new(rpc::PolicyService::new(Arc::clone(app)));
    let search =
        c1::policy_search_server::PolicySearchServer::new(rpc::PolicySearchService::new(Arc::clone(app)));
    let validate = c1::policy_validate_server::PolicyValidateServer::new(rpc::PolicyValidateService::new(
        Arc::clone(app),
    ));
    let test = c1::account_provision_policy_test_server::AccountProvisionPolicyTestServer::new(
        rpc::AccountProvisionPolicyTestService::new(Arc::clone(app)),
    );
    Routes::default()
        .add_service(policies.max_decoding_message_size(message_max_bytes))
        .add_service(search.max_decoding_message_size(message_max_bytes))
        .add_service(validate.max_decoding_message_size(message_max_bytes))
        .add_service(test.max_decoding_message_size(message_max_bytes))
}
