//! What the assembled service says it serves: every service of the descriptors, by both versions of reflection, and each of
//! them healthy.

use std::collections::BTreeSet;

use countersign::pb;
use futures_util::stream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::harness::Server;

/// Those of the descriptors, and what every server has beside them.
fn wanted() -> BTreeSet<String> {
    let ours = pb::pool().services().map(|service| service.full_name().to_owned());
    let others = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    ours.chain(others.map(str::to_owned)).collect()
}

macro_rules! listed {
    ($version:ident, $server:expr) => {{
        use $version::server_reflection_request::MessageRequest;
        use $version::server_reflection_response::MessageResponse;
        let mut client =
            $version::server_reflection_client::ServerReflectionClient::new($server.channel().await);
        let ask = |message| $version::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(message),
        };
        let list = ask(MessageRequest::ListServices(String::new()));
        let files = wanted().into_iter().map(|name| ask(MessageRequest::FileContainingSymbol(name)));
        let requests: Vec<_> = std::iter::once(list).chain(files).collect();
        let mut answers = client.server_reflection_info(stream::iter(requests)).await.unwrap().into_inner();
        let first = answers.message().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(list) = first else { panic!("not a list: {first:?}") };
        for name in wanted() {
            let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
            let is_file = matches!(answer, MessageResponse::FileDescriptorResponse(_));
            assert!(is_file, "{name} has no descriptor: {answer:?}");
        }
        list.service.into_iter().map(|service| service.name).collect::<BTreeSet<String>>()
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_is_described_and_healthy() {
    let server = Server::start().await;
    assert!(wanted().len() > 10);
    assert_eq!(listed!(v1, server), wanted());
    assert_eq!(listed!(v1alpha, server), wanted());
    let mut health = HealthClient::new(server.channel().await);
    for service in wanted().into_iter().chain([String::new()]) {
        let answer = health.check(HealthCheckRequest { service: service.clone() }).await;
        let status = answer.unwrap_or_else(|status| panic!("{service}: {status:?}")).into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service:?}");
    }
    server.stop().await;
}
