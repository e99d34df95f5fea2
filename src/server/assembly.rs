//! Puts the service together: the store, the operations on it, the services over them, and REST over those.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::services::{Builder, Services};
use super::{Drained, Error, KeysUnreadable, Parts, Running, keys, start};
use crate::app::{self, App, Clock, Guardian, OnDropped};
use crate::auth::{self, Guard};
use crate::config::Settings;
use crate::gateway::{BadRule, Gateway, Style, Styles};
use crate::pb;
use crate::pb::c1::api::policy::v1 as c1;
use crate::pb::countersign::v1::analyzer_server::AnalyzerServer;
use crate::pb::countersign::v1::audit_server::AuditServer;
use crate::pb::countersign::v1::comparer_server::ComparerServer;
use crate::pb::countersign::v1::revisions_server::RevisionsServer;
use crate::pb::countersign::v1::simulator_server::SimulatorServer;
use crate::pb::gotocompany::guardian::v1beta1::guardian_service_server::GuardianServiceServer;
use crate::pb::raystack::guardian::v1beta1::guardian_service_server::GuardianServiceServer as RaystackServer;
use crate::policy::guardian::Compat;
use crate::rpc;
use crate::store::{self, Device, Engine};
use crate::telemetry::{Metrics, Tracer};

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
    /// The keys for secrets cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysUnreadable),
    /// Nobody can be let in.
    #[error(transparent)]
    Auth(#[from] auth::StartError),
    /// The thread that opened the store is gone.
    #[error("opening the store was interrupted")]
    Interrupted,
}

/// A service that is up, and the store under it.
#[derive(Debug)]
pub struct Assembled {
    /// The ports.
    pub running: Running,
    /// To be closed once the ports have ended, by [`Assembled::close`].
    pub store: Arc<dyn Engine>,
    app: Arc<App>,
}

impl Assembled {
    /// Tells the ports to stop, waits until they have ended, and closes the store with everything in it that belongs there.
    pub async fn close(self) -> Drained {
        self.running.stop();
        let drained = self.running.ended().await;
        // The calls that failed last are on their way into the audit trail.
        self.app.audit_settled().await;
        self.store.close().await;
        drained
    }
}

/// Opens the store that the settings name and serves it on the ports that they name. The clock is handed in, and so is
/// how the store asks for durability and room, so that tests can have them refused, and what spans are begun with.
pub async fn assemble(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    device: Device,
    tracer: Option<Tracer>,
) -> Result<Assembled, AssemblyError> {
    let guardian = Guardian {
        compat: settings.guardian_compat,
        lint: settings.guardian_lint,
        keys: keys(&settings.secrets_keys)?,
    };
    let metrics = Arc::new(Metrics::default());
    let mut options = store::Options { device, ..store::Options::new(settings.store.clone()) };
    let measured = metrics.store();
    options.on_group = Some(Arc::new(move |group| {
        measured.commit_batch(group.commits);
        measured.fsync(group.fsync);
    }));
    let opened = tokio::task::spawn_blocking(move || store::open(options)).await;
    let store = opened.map_err(|_| AssemblyError::Interrupted)??;
    let app = App::open(Arc::clone(&store), Arc::clone(&clock), settings.empty_approvers).await?;
    let dropped = metrics.audit_dropped();
    let on_dropped: OnDropped = Arc::new(move |entries| dropped.add(entries));
    let app = Arc::new(app.with_guardian(guardian).with_on_dropped(on_dropped));
    report_uncompiled(&app).await?;
    let key = Zeroizing::new(app.access_token_key().await?);
    let guard = Guard::new(&settings.auth_options(), key, Arc::new(move || clock.now().seconds))?;
    let styles = styles(settings.guardian_compat);
    let parts = Parts {
        services: services(&app, settings.max_message_bytes.bytes() as usize),
        descriptors: pb::DESCRIPTORS,
        gateway: Gateway::new(pb::pool(), &styles)?,
        styles,
        metrics,
        health: store.health(),
        guard: Arc::new(guard),
        audit: Some(Arc::clone(&app)),
        tracer,
    };
    Ok(Assembled { running: start(settings, parts).await?, store, app })
}

/// How each package speaks JSON.
fn styles(compat: Compat) -> Styles {
    let guardian = match compat {
        Compat::Default => Style::GUARDIAN,
        Compat::Strict => Style::GUARDIAN_STRICT,
    };
    Styles::all(Style::CONDUCTORONE).with("gotocompany.guardian.v1beta1", guardian)
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
fn services(app: &Arc<App>, message_max_bytes: usize) -> Builder {
    let policies = c1::policies_server::PoliciesServer::new(rpc::PolicyService::new(Arc::clone(app)));
    let search =
        c1::policy_search_server::PolicySearchServer::new(rpc::PolicySearchService::new(Arc::clone(app)));
    let validate = c1::policy_validate_server::PolicyValidateServer::new(rpc::PolicyValidateService::new(
        Arc::clone(app),
    ));
    let test = c1::account_provision_policy_test_server::AccountProvisionPolicyTestServer::new(
        rpc::AccountProvisionPolicyTestService::new(Arc::clone(app)),
    );
    let guardian = GuardianServiceServer::new(rpc::GuardianService::new(Arc::clone(app)));
    let raystack = RaystackServer::new(rpc::RaystackGuardianService::new(Arc::clone(app)));
    let simulator = SimulatorServer::new(rpc::SimulatorService::new(Arc::clone(app)));
    let analyzer = AnalyzerServer::new(rpc::AnalyzerService::new(Arc::clone(app)));
    let comparer = ComparerServer::new(rpc::ComparerService::new(Arc::clone(app)));
    let revisions = RevisionsServer::new(rpc::RevisionService::new(Arc::clone(app)));
    let audit = AuditServer::new(rpc::AuditService::new(Arc::clone(app)));
    Services::builder()
        .with(policies.max_decoding_message_size(message_max_bytes))
        .with(search.max_decoding_message_size(message_max_bytes))
        .with(validate.max_decoding_message_size(message_max_bytes))
        .with(test.max_decoding_message_size(message_max_bytes))
        .with(guardian.max_decoding_message_size(message_max_bytes))
        .with(raystack.max_decoding_message_size(message_max_bytes))
        .with(simulator.max_decoding_message_size(message_max_bytes))
        .with(analyzer.max_decoding_message_size(message_max_bytes))
        .with(comparer.max_decoding_message_size(message_max_bytes))
        .with(revisions.max_decoding_message_size(message_max_bytes))
        .with(audit.max_decoding_message_size(message_max_bytes))
}
