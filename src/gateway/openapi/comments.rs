//! The comments of the protos, by the full name of what they stand above.

use std::collections::HashMap;

use prost_reflect::prost_types::source_code_info::Location;
use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};

/// Every leading comment of a pool, by file and path.
pub(super) struct Comments {
    by_place: HashMap<(String, Vec<i32>), String>,
}

impl Comments {
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        let mut by_place = HashMap::new();
        for file in pool.files() {
            let locations =
                file.file_descriptor_proto().source_code_info.iter().flat_map(|info| &info.location);
            for Location { path, leading_comments, .. } in locations {
                if let Some(text) = leading_comments {
                    by_place.insert((file.name().to_owned(), path.clone()), plain(text));
                }
            }
        }
        Comments { by_place }
    }

    fn at(&self, file: &str, path: &[i32]) -> &str {
        self.by_place.get(&(file.to_owned(), path.to_vec())).map_or("", String::as_str)
    }

    pub(super) fn of_service(&self, service: &ServiceDescriptor) -> &str {
        self.at(service.parent_file().name(), service.path())
    }

    pub(super) fn of_method(&self, method: &MethodDescriptor) -> &str {
        self.at(method.parent_service().parent_file().name(), method.path())
    }

    pub(super) fn of_message(&self, message: &MessageDescriptor) -> &str {
        self.at(message.parent_file().name(), message.path())
    }

    pub(super) fn of_field(&self, field: &FieldDescriptor) -> &str {
        self.at(field.parent_message().parent_file().name(), field.path())
    }

    pub(super) fn of_enum(&self, each: &EnumDescriptor) -> &str {
        self.at(each.parent_file().name(), each.path())
    }

    /// The comment of the `index`th declared value of an enum: field 2 of its descriptor.
    pub(super) fn of_value(&self, each: &EnumDescriptor, index: usize) -> &str {
        const VALUE_FIELD: i32 = 2;
        let mut path = each.path().to_vec();
        path.extend([VALUE_FIELD, i32::try_from(index).unwrap_or(i32::MAX)]);
        self.at(each.parent_file().name(), &path)
    }
}

/// A comment as running text: its lines were only broken to fit a proto file.
fn plain(comment: &str) -> String {
    let paragraphs = comment.trim().split("\n\n").map(|paragraph| {
        paragraph.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
