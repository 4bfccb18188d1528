//! Rich dependencies (`rpm-dependencies(7)`): `(a and b)`, `(a or b)`, `(a if b else c)`, `(a with b)`, `(a without b)`, and of conflicts `(a unless b)`.
//!
//! They become what the resolver knows: alternatives, and alternatives that only count if something else is there. What it cannot know becomes a requirement
//! with the expression for its name, which nothing provides: so it stops who needs it, and the message names both.

use crate::repo::record::{AnyOf, Comparison, Conditional, Requirement};

/// The longest expression in bytes, and how deep brackets may lie in it.
const LENGTH_LIMIT: usize = 8192;
const DEPTH_LIMIT: usize = 16;
/// The most alternatives that an expression may become.
const CLAUSE_LIMIT: usize = 256;

/// What an expression means: all of these must hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) any_of: Vec<AnyOf>,
    pub(super) conditional: Vec<Conditional>,
}

/// The meaning of an expression in brackets.
pub(super) fn rich(text: &str) -> Meaning {
    let unknown = || Meaning { any_of: vec![AnyOf(vec![unversioned(text)])], conditional: Vec::new() };
    let mut words = Words { rest: text };
    if text.len() > LENGTH_LIMIT {
        return unknown();
    }
    match words.expression(0).filter(|_| words.rest.trim().is_empty()).and_then(|expression| meaning(&expression)) {
        Some(meaning) => meaning,
        None => unknown(),
    }
}

/// What a conflict in brackets means, if it is one with `unless`: where the one is there, so must be the other. None for others, and where that cannot be known.
/// (Nothing but conflicts can have it.)
pub(super) fn unless(text: &str) -> Option<Vec<Conditional>> {
    let mut words = Words { rest: text };
    let Some(Expression::Unless { excluded, unless }) = words.expression(0).filter(|_| words.rest.trim().is_empty() && text.len() <= LENGTH_LIMIT)
    else {
        return None;
    };
    let (excluded, unless) = (clauses(&excluded)?, clauses(&unless)?);
    let conditional = |way: Vec<Requirement>| unless.iter().map(|then| Conditional { when: way.clone(), then: then.clone() }).collect::<Vec<_>>();
    Some(ways(&excluded)?.into_iter().flat_map(conditional).collect())
}

/// The ways to satisfy an expression in brackets: of each of them, all requirements must hold. None for expressions with conditions, and where it cannot be
/// known.
pub(super) fn ways_of(text: &str) -> Option<Vec<Vec<Requirement>>> {
    let mut words = Words { rest: text };
    let expression = words.expression(0).filter(|_| words.rest.trim().is_empty() && text.len() <= LENGTH_LIMIT)?;
    ways(&clauses(&expression)?)
}

fn unversioned(name: &str) -> Requirement {
    Requirement { name: name.to_owned(), arch: None, version: None, with: Vec::new(), without: Vec::new() }
}

#[derive(Debug)]
enum Expression {
    One(Requirement),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    With(Vec<Expression>),
    Without { one: Box<Expression>, not: Box<Expression> },
    Unless { excluded: Box<Expression>, unless: Box<Expression> },
    If { then: Box<Expression>, when: Box<Expression>, otherwise: Option<Box<Expression>> },
}

struct Words<'t> {
    rest: &'t str,
}

impl<'t> Words<'t> {
    /// An expression in brackets; none if it is not one that is known.
    fn expression(&mut self, depth: usize) -> Option<Expression> {
        self.rest = self.rest.trim_start().strip_prefix('(')?;
        if depth > DEPTH_LIMIT {
            return None;
        }
        let first = self.operand(depth)?;
        if self.ends() {
            return Some(first);
        }
        let operator = self.word()?;
        let mut operands = vec![first, self.operand(depth)?];
        if operator == "if" {
            let otherwise = if self.ends() {
                None
            } else {
                (self.word()? == "else").then_some(())?;
                let otherwise = self.operand(depth)?;
                self.ends().then_some(Some(Box::new(otherwise)))?
            };
            let when = Box::new(operands.pop()?);
            return Some(Expression::If { then: Box::new(operands.pop()?), when, otherwise });
        }
        if let "without" | "unless" = operator {
            let (second, first) = (Box::new(operands.pop()?), Box::new(operands.pop()?));
            let expression = match operator {
                "without" => Expression::Without { one: first, not: second },
                _ => Expression::Unless { excluded: first, unless: second },
            };
            return self.ends().then_some(expression);
        }
        // One operator as often as wanted; different ones need brackets.
        while !self.ends() {
            (self.word()? == operator).then_some(())?;
            operands.push(self.operand(depth)?);
        }
        match operator {
            "and" => Some(Expression::And(operands)),
            "or" => Some(Expression::Or(operands)),
            "with" => Some(Expression::With(operands)),
            _ => None,
        }
    }

    fn operand(&mut self, depth: usize) -> Option<Expression> {
        if self.rest.trim_start().starts_with('(') {
            return self.expression(depth + 1);
        }
        let name = self.word()?.to_owned();
        let before = self.rest;
        let version = if let Some(comparison) = self.word().and_then(comparison) {
            Some((comparison, self.word()?.to_owned()))
        } else {
            self.rest = before;
            None
        };
        Some(Expression::One(Requirement { name, arch: None, version, with: Vec::new(), without: Vec::new() }))
    }

    /// The next word; brackets that belong to a name (`lib(a)(64bit)`) stay in it.
    fn word(&mut self) -> Option<&'t str> {
        let text = self.rest.trim_start();
        let mut open = 0usize;
        let end = text.char_indices().find(|(_, sign)| match sign {
            '(' => {
                open += 1;
                false
            }
            ')' if open > 0 => {
                open -= 1;
                false
            }
            ')' => true,
            sign => sign.is_whitespace() && open == 0,
        });
        let (word, rest) = text.split_at(end.map_or(text.len(), |(at, _)| at));
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    /// Takes the closing bracket, if it is next.
    fn ends(&mut self) -> bool {
        let rest = self.rest.trim_start().strip_prefix(')');
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

fn comparison(sign: &str) -> Option<Comparison> {
    Some(match sign {
        "<" => Comparison::Earlier,
        "<=" => Comparison::EarlierOrEqual,
        "=" => Comparison::Equal,
        ">=" => Comparison::LaterOrEqual,
        ">" => Comparison::Later,
        _ => return None,
    })
}

/// What an expression asks for; none where the resolver cannot know it.
fn meaning(expression: &Expression) -> Option<Meaning> {
    match expression {
        Expression::And(operands) => {
            let mut all = Meaning::default();
            for operand in operands {
                let Meaning { any_of, conditional } = meaning(operand)?;
                all.any_of.extend(any_of);
                all.conditional.extend(conditional);
            }
            (all.any_of.len() + all.conditional.len() <= CLAUSE_LIMIT).then_some(all)
        }
        Expression::If { then, when, otherwise } => {
            let (then, when) = (clauses(then)?, clauses(when)?);
            let mut meaning = Meaning::default();
            // Each way to meet the condition is one of its own.
            for way in ways(&when)? {
                meaning.conditional.extend(then.iter().map(|then| Conditional { when: way.clone(), then: then.clone() }));
            }
            for otherwise in otherwise.iter().map(|otherwise| clauses(otherwise)).collect::<Option<Vec<_>>>()?.iter().flatten() {
                meaning.any_of.extend(when.iter().map(|when| AnyOf(when.0.iter().chain(&otherwise.0).cloned().collect())));
            }
            Some(meaning)
        }
        plain => Some(Meaning { any_of: clauses(plain)?, conditional: Vec::new() }),
    }
}

/// The alternatives of an expression without conditions, all of which must hold.
fn clauses(expression: &Expression) -> Option<Vec<AnyOf>> {
    match expression {
        Expression::One(requirement) => Some(vec![AnyOf(vec![requirement.clone()])]),
        Expression::And(operands) => Some(operands.iter().map(clauses).collect::<Option<Vec<_>>>()?.concat()),
        Expression::Or(operands) => {
            let mut all = vec![AnyOf(Vec::new())];
            for operand in operands {
                let more = clauses(operand)?;
                let joined = |one: &AnyOf| more.iter().map(|more| AnyOf(one.0.iter().chain(&more.0).cloned().collect())).collect::<Vec<_>>();
                all = all.iter().flat_map(joined).collect();
                (all.len() <= CLAUSE_LIMIT).then_some(())?;
            }
            Some(all)
        }
        Expression::With(operands) => {
            let mut operands = operands.iter().map(|operand| match operand {
                Expression::One(requirement) => Some(requirement.clone()),
                _ => None,
            });
            let first = operands.next()??;
            Some(vec![AnyOf(vec![Requirement { with: operands.collect::<Option<Vec<_>>>()?, ..first }])])
        }
        Expression::Without { one, not } => match (&**one, &**not) {
            (Expression::One(one), Expression::One(not)) => Some(vec![AnyOf(vec![Requirement { without: vec![not.clone()], ..one.clone() }])]),
            _ => None,
        },
        Expression::If { .. } | Expression::Unless { .. } => None,
    }
}

/// The ways to satisfy all of `clauses`: of each of them one alternative.
fn ways(clauses: &[AnyOf]) -> Option<Vec<Vec<Requirement>>> {
    let mut ways = vec![Vec::new()];
    for clause in clauses {
        let extended = |way: &Vec<Requirement>| clause.0.iter().map(|one| way.iter().cloned().chain([one.clone()]).collect()).collect::<Vec<_>>();
        ways = ways.iter().flat_map(extended).collect();
        (ways.len() <= CLAUSE_LIMIT).then_some(())?;
    }
    Some(ways)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let Meaning { any_of, conditional } = rich(text);
        let one = |requirement: &Requirement| {
            let mut shown = requirement.name.clone();
            if let Some((_, version)) = &requirement.version {
                shown = format!("{shown}:{version}");
            }
            let without = requirement.without.iter().map(|less| format!("!{}", less.name));
            shown.extend(without);
            requirement.with.iter().fold(shown, |shown, more| format!("{shown}&{}:{}", more.name, more.version.as_ref().map_or("", |(_, text)| text)))
        };
        let list = |all: &[Requirement], sign: &str| all.iter().map(one).collect::<Vec<_>>().join(sign);
        let plain = any_of.iter().map(|any| list(&any.0, "|"));
        let conditional = conditional.iter().map(|one| format!("{}=>{}", list(&one.when, "&"), list(&one.then.0, "|")));
        plain.chain(conditional).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn expressions_become_alternatives_and_conditions() {
        for (text, expected) in [
            ("(a)", "a"),
            ("(a or b >= 2-1 or c)", "a|b:2-1|c"),
            ("(a and lib(x)(64bit))", "a lib(x)(64bit)"),
            ("(a or (b and c))", "a|b a|c"),
            ("(a if b)", "b=>a"),
            ("(a if (b and c))", "b&c=>a"),
            ("(a if (b or c))", "b=>a c=>a"),
            ("(a if b else c)", "b|c b=>a"),
            ("((a or x) if b)", "b=>a|x"),
            ("(crate(a/b) >= 1 with crate(a/b) < 2~)", "crate(a/b):1&crate(a/b):2~"),
            ("(a and (b if c))", "a c=>b"),
            ("(a without b)", "a!b"),
            ("((a without b) or c)", "a!b|c"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn a_conflict_unless_something_else_is_there_asks_for_that() {
        let shown = |text: &str| {
            let all = unless(text)?.into_iter();
            let one = |Conditional { when, then }| (when[0].name.clone(), when.len(), then.0.iter().map(|one| one.name.clone()).collect::<Vec<_>>());
            Some(all.map(one).collect::<Vec<_>>())
        };
        let expected = |name: &str, count, then: &[&str]| (name.to_owned(), count, then.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(shown("(a unless b)"), Some(vec![expected("a", 1, &["b"])]));
        assert_eq!(shown("((a or b) unless (c or d))"), Some(vec![expected("a", 1, &["c", "d"]), expected("b", 1, &["c", "d"])]));
        assert_eq!(shown("((a and b) unless (c and d))"), Some(vec![expected("a", 2, &["c"]), expected("a", 2, &["d"])]));
        for text in ["(a unless b else c)", "(a unless b unless c)", "(a if b)", "(a unless (b if c))", "(a unless b) c", "a"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn what_can_hold_without_conditions_holds_in_ways() {
        let shown = |text: &str| {
            let ways = ways_of(text)?.into_iter();
            Some(ways.map(|way| way.into_iter().map(|one| one.name).collect::<Vec<_>>().join("&")).collect::<Vec<_>>().join(" "))
        };
        for (text, expected) in [("(a)", "a"), ("(a and b)", "a&b"), ("((a or b) and c)", "a&c b&c"), ("(a or (b and c))", "a&a a&c b&a b&c")] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        let wide = format!("({})", ["(a or b)"; 9].join(" and "));
        for text in ["(a if b)", "(a unless b)", "(a", "(a) b", "a", "()", &wide] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_stands_for_itself() {
        let deep = format!("{}a{}", "(".repeat(50), ")".repeat(50));
        let wide = format!("({})", vec!["(a and b)"; 20].join(" or "));
        for text in [
            "(a unless b)",
            "(a without (b or c))",
            "(a without b without c)",
            "(a or b and c)",
            "(a",
            "(a if b else)",
            "(a) b",
            "()",
            "(a or (b if c))",
            &deep,
            &wide,
        ] {
            assert_eq!(rich(text), Meaning { any_of: vec![AnyOf(vec![unversioned(text)])], conditional: Vec::new() }, "{text}");
        }
    }
}
