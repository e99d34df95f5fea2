//! Guardian's protobuf contract, which its clients were generated from: every number, every type, every RPC, as `data/guardian`
//! says them after Guardian's own files.

use super::{folder, server};
use crate::grpc::call;
use countersign::pb;
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use tonic::Code;

/// The lines of a table, without comments.
fn rows(name: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn package(family: &str) -> &'static str {
    match family {
        "goto" => "gotocompany.guardian.v1beta1",
        "raystack" => "raystack.guardian.v1beta1",
        other => panic!("no such family: {other}"),
    }
}

/// A type as the table writes it.
fn written(field: &FieldDescriptor) -> String {
    let of_message = |message: MessageDescriptor| {
        let name = message.full_name();
        let package = format!("{}.", message.package_name());
        name.strip_prefix(package.as_str()).unwrap_or(name).to_owned()
    };
    let of = |kind: Kind| match kind {
        Kind::Message(message) => of_message(message),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        return format!(
            "map<{}, {}>",
            of(entry.map_entry_key_field().kind()),
            of(entry.map_entry_value_field().kind())
        );
    }
    let repeated = if field.cardinality() == Cardinality::Repeated { "repeated " } else { "" };
    format!("{repeated}{}", of(field.kind()))
}

#[test]
fn messages_have_guardians_numbers() {
    let mut wanted: BTreeMap<String, BTreeSet<(u32, String, String)>> = BTreeMap::new();
    for row in rows("messages.tsv") {
        let [family, message, field, number, kind] = row.as_slice() else { panic!("{row:?}") };
        let fields = wanted.entry(format!("{}.{message}", package(family))).or_default();
        if field != "-" {
            assert!(fields.insert((number.parse().unwrap(), field.clone(), kind.clone())), "{row:?}");
        }
    }
    for (name, fields) in &wanted {
        let message = pb::pool().get_message_by_name(name).unwrap_or_else(|| panic!("{name} is missing"));
        let found: BTreeSet<_> = message
            .fields()
            .map(|field| (field.number(), field.name().to_owned(), written(&field)))
            .collect();
        assert_eq!(found, *fields, "{name}");
        assert!(message.oneofs().all(|oneof| oneof.is_synthetic()), "{name}: Guardian has no oneofs");
    }
    // What else there is is an empty stand-in for what another part of Guardian sends.
    for message in pb::pool().all_messages() {
        let ours = ["goto", "raystack"].iter().any(|family| message.package_name() == package(family));
        if ours && !message.is_map_entry() && !wanted.contains_key(message.full_name()) {
            assert_eq!(message.fields().count(), 0, "{} is not in the table", message.full_name());
        }
    }
    let appeal = pb::pool().get_message_by_name("gotocompany.guardian.v1beta1.Appeal").unwrap();
    let reserved: Vec<u32> = appeal.reserved_ranges().flatten().collect();
    assert_eq!(reserved, [14, 15, 16]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rpc_is_there_and_those_that_are_not_ours_say_so() {
    let rows = rows("rpcs.tsv");
    let named = |kind: &str| -> BTreeSet<String> {
        rows.iter().filter(|row| row[0] == kind).map(|row| row[1].clone()).collect()
    };
    let (served, others) = (named("served"), named("other"));
    assert_eq!((served.len(), served.len() + others.len()), (5, rows.len()), "a name is there twice");
    let declared = |family: &str| -> BTreeSet<String> {
        let name = format!("{}.GuardianService", package(family));
        let service = pb::pool().services().find(|service| service.full_name() == name).unwrap();
        service
            .methods()
            .map(|method| {
                assert!(!method.is_client_streaming() && !method.is_server_streaming(), "{method:?}");
                assert_eq!(method.input().name(), format!("{}Request", method.name()));
                assert_eq!(method.output().name(), format!("{}Response", method.name()));
                method.name().to_owned()
            })
            .collect()
    };
    assert_eq!(declared("goto"), &served | &others);
    assert_eq!(declared("raystack"), served);

    let server = server(&[]).await;
    let channel = server.channel().await;
    for family in ["goto", "raystack"] {
        for name in &others {
            let path = format!("/{}.GuardianService/{name}", package(family));
            // Whatever is sent: nobody looks at it.
            for body in [Vec::new(), b"\x0a\x01x".to_vec()] {
                let status = call(&channel, &path, body).await.unwrap_err();
                assert_eq!(status.code(), Code::Unimplemented, "{path}: {status:?}");
            }
        }
        for name in &served {
            let path = format!("/{}.GuardianService/{name}", package(family));
            let answer = call(&channel, &path, Vec::new()).await;
            assert!(answer.err().is_none_or(|status| status.code() != Code::Unimplemented), "{path}");
        }
    }
    // The oldest family is another service.
    let odpf = call(&channel, "/odpf.guardian.v1beta1.GuardianService/ListPolicies", Vec::new()).await;
    assert_eq!(odpf.unwrap_err().code(), Code::Unimplemented);
    server.stop().await;
}
