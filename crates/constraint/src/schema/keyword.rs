/// What a keyword's value is, and so what is to be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Says nothing about what fits.
    Annotation,
    /// A schema.
    Schema,
    /// A schema, or a list of them in older drafts.
    SchemaOrList,
    /// Schemas by name.
    SchemaMap,
    /// A list of schemas.
    SchemaList,
    /// A count.
    Count { most: u64 },
    /// A number to compare with; in an old draft the word that the one beside it is excluded.
    Limit,
    /// What a number must be a multiple of.
    Multiple,
    /// A regular expression.
    Pattern,
    /// The name of a format.
    Format,
    /// The place of another schema.
    Reference,
    /// One value.
    Constant,
    /// Several of them.
    Constants,
    /// The names of types.
    Types,
    /// The names of members.
    Names,
    /// Cannot be enforced, unless it asks for nothing.
    Unsupported,
}

/// Most items that a list can be held to: each is a part of the grammar.
const ITEMS_MAX: u64 = 2048;
/// Most characters that a text can be held to: each is a state while it is written.
const CHARACTERS_MAX: u64 = 65_536;

/// Every keyword of the drafts 4 to 2020-12.
const KEYWORDS: [(&str, Kind); 61] = [
    ("$schema", Kind::Annotation),
    ("$id", Kind::Annotation),
    ("id", Kind::Annotation),
    ("$anchor", Kind::Annotation),
    ("$comment", Kind::Annotation),
    ("title", Kind::Annotation),
    ("description", Kind::Annotation),
    ("default", Kind::Annotation),
    ("examples", Kind::Annotation),
    ("example", Kind::Annotation),
    ("readOnly", Kind::Annotation),
    ("writeOnly", Kind::Annotation),
    ("deprecated", Kind::Annotation),
    ("contentMediaType", Kind::Annotation),
    ("contentEncoding", Kind::Annotation),
    ("contentSchema", Kind::Annotation),
    ("$defs", Kind::SchemaMap),
    ("definitions", Kind::SchemaMap),
    ("$ref", Kind::Reference),
    ("type", Kind::Types),
    ("enum", Kind::Constants),
    ("const", Kind::Constant),
    ("anyOf", Kind::SchemaList),
    ("oneOf", Kind::SchemaList),
    ("allOf", Kind::SchemaList),
    ("properties", Kind::SchemaMap),
    ("patternProperties", Kind::SchemaMap),
    ("additionalProperties", Kind::Schema),
    ("required", Kind::Names),
    ("minProperties", Kind::Count { most: ITEMS_MAX }),
    ("maxProperties", Kind::Count { most: ITEMS_MAX }),
    ("items", Kind::SchemaOrList),
    ("prefixItems", Kind::SchemaList),
    ("additionalItems", Kind::Schema),
    ("minItems", Kind::Count { most: ITEMS_MAX }),
    ("maxItems", Kind::Count { most: ITEMS_MAX }),
    ("minLength", Kind::Count { most: CHARACTERS_MAX }),
    ("maxLength", Kind::Count { most: CHARACTERS_MAX }),
    ("pattern", Kind::Pattern),
    ("format", Kind::Format),
    ("minimum", Kind::Limit),
    ("maximum", Kind::Limit),
    ("exclusiveMinimum", Kind::Limit),
    ("exclusiveMaximum", Kind::Limit),
    ("multipleOf", Kind::Multiple),
    ("not", Kind::Unsupported),
    ("if", Kind::Unsupported),
    ("then", Kind::Unsupported),
    ("else", Kind::Unsupported),
    ("contains", Kind::Unsupported),
    ("minContains", Kind::Unsupported),
    ("maxContains", Kind::Unsupported),
    ("uniqueItems", Kind::Unsupported),
    ("propertyNames", Kind::Unsupported),
    ("dependencies", Kind::Unsupported),
    ("dependentRequired", Kind::Unsupported),
    ("dependentSchemas", Kind::Unsupported),
    ("unevaluatedItems", Kind::Unsupported),
    ("unevaluatedProperties", Kind::Unsupported),
    ("$dynamicRef", Kind::Unsupported),
    ("$recursiveRef", Kind::Unsupported),
];

/// What is known of a keyword. Names that begin with `x-` are somebody's own annotations.
pub(super) fn kind(name: &str) -> Option<Kind> {
    if name.starts_with("x-") {
        return Some(Kind::Annotation);
    }
    KEYWORDS.iter().find(|(known, _)| *known == name).map(|&(_, kind)| kind)
}
