//! SVG, as far as pages embed pictures. HTML inside SVG and MathML decline.

use super::super::arena::{Content, Space};
use super::super::name::Name;
use super::modes::Done;
use super::{Builder, Declined, Open, Step, Tag};

impl Builder<'_> {
    /// SVG elements whose content is HTML. Only text is read in them here.
    pub(super) fn is_integration_point(&self, open: &Open) -> bool {
        open.space == Space::Svg && matches!(open.name, Name::TITLE | Name::DESC)
    }

    pub(super) fn start_svg(&mut self, tag: &Tag) -> Done {
        self.insert_foreign(tag);
        Done::Yes
    }

    pub(super) fn start_in_foreign(&mut self, tag: &Tag) -> Step {
        let has_font_attribute = || {
            [Name::COLOR, Name::FACE, Name::SIZE]
                .iter()
                .any(|name| self.attribute(tag, *name).is_some())
        };
        if tag.name.breaks_out() || (tag.name == Name::FONT && has_font_attribute()) {
            return Err(Declined::MarkupInForeign);
        }
        let mut tag = *tag;
        if !tag.name.is_known() {
            let written = self.arena.name_text(self.page, tag.name);
            if written == "foreignobject" {
                return Err(Declined::MarkupInForeign);
            }
            if let Some(name) = cased(ELEMENTS, written) {
                tag.name = self.arena.name_of(name);
            }
        }
        self.insert_foreign(&tag);
        Ok(())
    }

    fn insert_foreign(&mut self, tag: &Tag) {
        self.case_attributes(tag.attributes);
        let parent = self.current().node;
        let node = self.insert_in(parent, tag, Space::Svg);
        if !tag.is_self_closing {
            self.push_open(Open {
                node,
                name: tag.name,
                space: Space::Svg,
            });
        }
    }

    /// Attributes whose names SVG writes in mixed case.
    fn case_attributes(&mut self, attributes: Content) {
        for at in attributes.as_attributes() {
            let name = self.arena.attributes[at].name;
            if name.is_known() {
                continue;
            }
            let written = self.arena.name_text(self.page, name);
            if let Some(name) = cased(ATTRIBUTES, written) {
                self.arena.attributes[at].name = self.arena.name_of(name);
            }
        }
    }

    /// An end tag in foreign content; true if the rules of the insertion mode
    /// take it.
    pub(super) fn end_in_foreign(&mut self, name: Name) -> Step<bool> {
        if matches!(name, Name::P | Name::BR) {
            return Err(Declined::MarkupInForeign);
        }
        for at in (1..self.open.len()).rev() {
            let open = self.open[at];
            self.looks += 1;
            if at + 1 < self.open.len() && open.space == Space::Html {
                return Ok(true);
            }
            let open_text = self.arena.name_text(self.page, open.name);
            let text = self.arena.name_text(self.page, name);
            if open_text.eq_ignore_ascii_case(text) {
                self.truncate_open(at);
                return Ok(false);
            }
        }
        Ok(false)
    }
}

fn cased(table: &[&'static str], written: &str) -> Option<&'static str> {
    table
        .iter()
        .find(|name| name.eq_ignore_ascii_case(written))
        .copied()
}

/// Section 13.2.6.5 of the HTML standard, "adjust SVG element names".
const ELEMENTS: &[&str] = &[
    "altGlyph",
    "altGlyphDef",
    "altGlyphItem",
    "animateColor",
    "animateMotion",
    "animateTransform",
    "clipPath",
    "feBlend",
    "feColorMatrix",
    "feComponentTransfer",
    "feComposite",
    "feConvolveMatrix",
    "feDiffuseLighting",
    "feDisplacementMap",
    "feDistantLight",
    "feDropShadow",
    "feFlood",
    "feFuncA",
    "feFuncB",
    "feFuncG",
    "feFuncR",
    "feGaussianBlur",
    "feImage",
    "feMerge",
    "feMergeNode",
    "feMorphology",
    "feOffset",
    "fePointLight",
    "feSpecularLighting",
    "feSpotLight",
    "feTile",
    "feTurbulence",
    "glyphRef",
    "linearGradient",
    "radialGradient",
    "textPath",
];

/// "Adjust SVG attributes".
const ATTRIBUTES: &[&str] = &[
    "attributeName",
    "attributeType",
    "baseFrequency",
    "baseProfile",
    "calcMode",
    "clipPathUnits",
    "diffuseConstant",
    "edgeMode",
    "filterUnits",
    "glyphRef",
    "gradientTransform",
    "gradientUnits",
    "kernelMatrix",
    "kernelUnitLength",
    "keyPoints",
    "keySplines",
    "keyTimes",
    "lengthAdjust",
    "limitingConeAngle",
    "markerHeight",
    "markerUnits",
    "markerWidth",
    "maskContentUnits",
    "maskUnits",
    "numOctaves",
    "pathLength",
    "patternContentUnits",
    "patternTransform",
    "patternUnits",
    "pointsAtX",
    "pointsAtY",
    "pointsAtZ",
    "preserveAlpha",
    "preserveAspectRatio",
    "primitiveUnits",
    "refX",
    "refY",
    "repeatCount",
    "repeatDur",
    "requiredExtensions",
    "requiredFeatures",
    "specularConstant",
    "specularExponent",
    "spreadMethod",
    "startOffset",
    "stdDeviation",
    "stitchTiles",
    "surfaceScale",
    "systemLanguage",
    "tableValues",
    "targetX",
    "targetY",
    "textLength",
    "viewBox",
    "viewTarget",
    "xChannelSelector",
    "yChannelSelector",
    "zoomAndPan",
];
