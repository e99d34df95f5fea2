//! A drawing as SVG that stands for itself: no style sheet, no script, no font and no id of its own, so that several of them can
//! stand in one page, and on a ground of its own, so that it is as readable on a dark page as on a light one.

mod arrange;
mod measure;
mod paint;
mod paper;

use super::model::Model;
use measure::Sizes;

/// The whole document.
///
/// # Errors
/// A sentence, if the layout refuses it.
pub(super) fn write(model: &Model) -> Result<String, String> {
    let sizes = Sizes::of(model);
    let arranged = arrange::arrange(model, &sizes)?;
    Ok(paint::paint(model, &sizes, &arranged))
}
