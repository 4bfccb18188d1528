//! `image`.

use super::checked;
use crate::spec::model::Image;
use crate::spec::names;
use crate::yaml::Field;

pub(super) fn read(field: &Field<'_>) -> Option<Image> {
    let mut image = field.fields()?;
    let name = image.required("name").and_then(|field| checked(&field, names::image_part));
    let version = image.required("version").and_then(|field| checked(&field, names::image_part));
    image.finish();
    Some(Image { name: name?, version: version? })
}
