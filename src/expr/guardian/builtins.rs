//! The functions that every expression has: their names, what they take as the checker sees it, and the call of each. What
//! they do to texts, lists and times stands in the files below this one.

mod collections;
mod numbers;
mod texts;

use super::evaluate::{Fault, Run};
use super::kinds::{Kind, Signature, Type};
use super::value::Value;

macro_rules! builtins {
    ($($variant:ident = $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Builtin { $($variant,)* }

        impl Builtin {
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub fn find(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

builtins! {
    All = "all", None = "none", Any = "any", One = "one", Filter = "filter", Map = "map", Find = "find",
    FindIndex = "findIndex", FindLast = "findLast", FindLastIndex = "findLastIndex", Count = "count",
    GroupBy = "groupBy", Reduce = "reduce", Len = "len", Type = "type", Abs = "abs", Int = "int",
    Float = "float", String = "string", Trim = "trim", TrimPrefix = "trimPrefix", TrimSuffix = "trimSuffix",
    Upper = "upper", Lower = "lower", Split = "split", SplitAfter = "splitAfter", Replace = "replace",
    Repeat = "repeat", Join = "join", IndexOf = "indexOf", LastIndexOf = "lastIndexOf",
    HasPrefix = "hasPrefix", HasSuffix = "hasSuffix", Max = "max", Min = "min", Sum = "sum", Mean = "mean",
    Median = "median", ToJson = "toJSON", FromJson = "fromJSON", ToBase64 = "toBase64",
    FromBase64 = "fromBase64", Now = "now", Duration = "duration", Date = "date", First = "first",
    Last = "last", Get = "get", Take = "take", Keys = "keys", Values = "values", ToPairs = "toPairs",
    FromPairs = "fromPairs", Sort = "sort", SortBy = "sortBy",
}

impl Builtin {
    /// Whether its second argument is evaluated for each element of its first.
    pub const fn is_predicate(self) -> bool {
        matches!(
            self,
            Self::All
                | Self::None
                | Self::Any
                | Self::One
                | Self::Filter
                | Self::Map
                | Self::Find
                | Self::FindIndex
                | Self::FindLast
                | Self::FindLastIndex
                | Self::Count
                | Self::GroupBy
                | Self::Reduce
        )
    }

    /// Those that the library calls in a way of its own, so that they cannot be called through a variable.
    pub const fn is_fast(self) -> bool {
        matches!(
            self,
            Self::Len
                | Self::Type
                | Self::Abs
                | Self::Int
                | Self::Float
                | Self::String
                | Self::Upper
                | Self::Lower
        )
    }

    /// The ways in which it can be called; empty when `validate` says it.
    pub fn signatures(self) -> Vec<Signature> {
        let text = || Type::Text;
        let one = |parameters: Vec<Type>, result: Type| vec![signature(parameters, result)];
        match self {
            Self::Type | Self::String | Self::ToJson => one(vec![Type::Any], text()),
            Self::Trim => vec![signature(vec![text()], text()), signature(vec![text(), text()], text())],
            Self::TrimPrefix | Self::TrimSuffix => {
                vec![signature(vec![text(), text()], text()), signature(vec![text()], text())]
            }
            Self::Upper | Self::Lower | Self::ToBase64 | Self::FromBase64 => one(vec![text()], text()),
            Self::Split | Self::SplitAfter => {
                let list = Type::slice(Type::Text);
                vec![
                    signature(vec![text(), text()], list.clone()),
                    signature(vec![text(), text(), Type::Int], list),
                ]
            }
            Self::Replace => vec![
                signature(vec![text(), text(), text(), Type::Int], text()),
                signature(vec![text(), text(), text()], text()),
            ],
            Self::Repeat => one(vec![text(), Type::Int], text()),
            Self::Join => {
                let texts = || Type::slice(Type::Text);
                vec![
                    signature(vec![texts(), text()], text()),
                    signature(vec![Type::list(), text()], text()),
                    signature(vec![Type::list()], text()),
                    signature(vec![texts(), text()], text()),
                    signature(vec![texts()], text()),
                ]
            }
            Self::IndexOf | Self::LastIndexOf => one(vec![text(), text()], Type::Int),
            Self::HasPrefix | Self::HasSuffix => one(vec![text(), text()], Type::Bool),
            Self::FromJson => one(vec![text()], Type::Any),
            Self::Now => one(vec![], Type::Time),
            Self::Duration => one(vec![text()], Type::Duration),
            Self::Date => (1..=3).map(|count| signature(vec![text(); count], Type::Time)).collect(),
            _ => Vec::new(),
        }
    }

    /// For those without signatures: the type of what they give, or what is wrong with the arguments.
    pub fn validate(self, arguments: &[Type]) -> Result<Type, String> {
        let name = self.name();
        let count = arguments.len();
        let nil = Type::Nil;
        let first = arguments.first().unwrap_or(&nil);
        let exactly = |expected: usize| {
            (count == expected)
                .then_some(())
                .ok_or_else(|| format!("invalid number of arguments (expected {expected}, got {count})"))
        };
        let is_listish = |ty: &Type| ty.is_any() || ty.is_list();
        match self {
            Self::Max | Self::Min => {
                if count == 0 {
                    return Err(format!("not enough arguments to call {name}"));
                }
                for argument in arguments {
                    if argument.is_any() {
                        return Ok(Type::Any);
                    }
                    if !argument.is_number() {
                        return Err(format!("invalid argument for {name} (type {})", shown(argument)));
                    }
                }
                Ok(first.clone())
            }
            Self::Sort | Self::SortBy => validate_sort(self, arguments),
            Self::Take => {
                exactly(2)?;
                if !is_listish(first) {
                    return Err(format!("cannot take from {}", shown(first)));
                }
                match arguments.get(1) {
                    Some(count) if !count.is_any() && !count.is_integer() => {
                        Err(format!("cannot take {} elements", shown(count)))
                    }
                    _ => Ok(first.clone()),
                }
            }
            _ => {
                exactly(1)?;
                self.validate_one(first)
            }
        }
    }

    fn validate_one(self, ty: &Type) -> Result<Type, String> {
        let name = self.name();
        let kind = ty.kind();
        let any = ty.is_any();
        let list = ty.is_list();
        let (fits, result, complaint) = match self {
            Self::Len => (
                any || list || matches!(kind, Kind::Map | Kind::Text),
                Type::Int,
                format!("invalid argument for len (type {})", shown(ty)),
            ),
            Self::Abs => {
                (any || ty.is_number(), ty.clone(), format!("invalid argument for abs (type {})", shown(ty)))
            }
            Self::Int | Self::Float => (
                any || ty.is_number() || ty.is_text(),
                if self == Self::Int { Type::Int } else { Type::Float },
                format!("invalid argument for {name} (type {})", shown(ty)),
            ),
            Self::Sum => (any || list, Type::Any, format!("cannot sum {}", shown(ty))),
            Self::Mean => (any || list, Type::Float, format!("cannot avg {}", shown(ty))),
            Self::Median => (any || list, Type::Float, format!("cannot median {}", shown(ty))),
            Self::First | Self::Last => (
                any || list,
                ty.element().unwrap_or(Type::Any),
                format!("cannot get {name} element from {}", shown(ty)),
            ),
            Self::Keys | Self::Values => {
                (any || kind == Kind::Map, Type::list(), format!("cannot get {name} from {}", shown(ty)))
            }
            Self::ToPairs => {
                (any || kind == Kind::Map, Type::list(), format!("cannot transform {} to pairs", shown(ty)))
            }
            Self::FromPairs => {
                (any || list, Type::AnyMap, format!("cannot transform {} from pairs", shown(ty)))
            }
            _ => (true, Type::Any, String::new()),
        };
        if fits { Ok(result) } else { Err(complaint) }
    }

    /// The type of what it gives whatever its arguments are, for those that are no predicates.
    pub fn result(self) -> Type {
        let signatures = self.signatures();
        let signature = signatures.into_iter().next().map(|signature| signature.result);
        signature.or_else(|| self.validate(&[Type::Any]).ok()).unwrap_or(Type::Any)
    }

    /// Calls it on evaluated arguments.
    pub fn call(self, arguments: &[Value], run: &mut Run<'_>) -> Result<Value, Fault> {
        use Builtin as B;
        let argument = |index: usize| arguments.get(index).unwrap_or(&Value::Nil);
        // What only looks at one element costs nothing more.
        if !matches!(self, B::Len | B::Type | B::First | B::Last | B::Get | B::Take) {
            run.look_at(arguments)?;
        }
        match self {
            B::Len => numbers::len(argument(0)),
            B::Type => Ok(Value::text(texts::type_of(argument(0)))),
            B::Abs => numbers::abs(argument(0)),
            B::Int => numbers::int(argument(0)),
            B::Float => numbers::float(argument(0)),
            B::String => texts::string(argument(0), run),
            B::Max | B::Min => numbers::extreme(self == B::Max, arguments),
            B::Sum | B::Mean | B::Median => numbers::statistic(self, argument(0)),
            B::Now => Ok(Value::Time(run.now())),
            B::Duration | B::Date => numbers::moment(self, arguments),
            B::First
            | B::Last
            | B::Get
            | B::Take
            | B::Keys
            | B::Values
            | B::ToPairs
            | B::FromPairs
            | B::Sort
            | B::SortBy => collections::call(self, arguments, run),
            _ => texts::call(self, arguments, run),
        }
    }
}

fn validate_sort(builtin: Builtin, arguments: &[Type]) -> Result<Type, String> {
    let (least, expected) = if builtin == Builtin::Sort { (1, "1 or 2") } else { (2, "2 or 3") };
    let count = arguments.len();
    if count < least || count > least + 1 {
        return Err(format!("invalid number of arguments (expected {expected}, got {count})"));
    }
    let is_listish = |ty: &Type| ty.is_any() || ty.is_list();
    if let Some(list) = arguments.first().filter(|list| !is_listish(list)) {
        return Err(format!("cannot sort {}", shown(list)));
    }
    // The library names the type of the second argument whichever is wrong.
    let wrong = arguments.iter().skip(1).any(|argument| !argument.is_any() && !argument.is_text());
    match arguments.get(1) {
        Some(named) if wrong => {
            Err(format!("invalid argument for sort (expected string, got {})", shown(named)))
        }
        _ => Ok(Type::list()),
    }
}

fn signature(parameters: Vec<Type>, result: Type) -> Signature {
    Signature { parameters, is_variadic: false, result, name: "func" }
}

/// As Go's `%s` writes a type.
fn shown(ty: &Type) -> String {
    if ty.is_nil() { "%!s(<nil>)".to_owned() } else { ty.to_string() }
}

/// The text of an argument.
pub(super) fn text_of(value: &Value) -> Result<&std::sync::Arc<str>, Fault> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(Fault::conversion(other, "string")),
    }
}
