//! What the service says of itself over gRPC: whether it serves (`grpc.health.v1`) and what (reflection).

use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use super::services::{Builder, Services};

/// The descriptors of the services that this module adds.
pub(crate) const DESCRIPTORS: [&[u8]; 3] = [
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];

/// Adds health and both versions of reflection to the services. Reflection serves the descriptors byte for byte, so that
/// the http rules in them survive.
pub(crate) fn add_to(
    services: Builder,
    descriptors: &'static [u8],
) -> Result<(Services, HealthReporter), tonic_reflection::server::Error> {
    let (reporter, health) = health_reporter();
    let reflection = || {
        DESCRIPTORS.iter().fold(
            tonic_reflection::server::Builder::configure()
                .include_reflection_service(false)
                .register_encoded_file_descriptor_set(descriptors),
            |builder, encoded| builder.register_encoded_file_descriptor_set(encoded),
        )
    };
    let services = services.with(health).with(reflection().build_v1()?).with(reflection().build_v1alpha()?);
    Ok((services.build(), reporter))
}

/// Says of every service, and of the server as a whole, whether it serves.
pub(crate) async fn report(reporter: &HealthReporter, services: &[String], serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for service in std::iter::once("").chain(services.iter().map(String::as_str)) {
        reporter.set_service_status(service, status).await;
    }
}
