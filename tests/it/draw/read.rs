//! Reads drawings again, by other means than those that wrote them.

use roxmltree::{Document, Node};

/// A box that is painted: left, top, right, bottom.
type Area = [f64; 4];

/// Well-formed, on its own ground, with every box inside and none on another. Gives how many boxes and arrow heads there are.
pub fn svg(about: &str, text: &str) -> (usize, usize) {
    let document = Document::parse(text).unwrap_or_else(|error| panic!("{about}: {error}\n{text}"));
    let root = document.root_element();
    let number =
        |node: Node<'_, '_>, name: &str| node.attribute(name).map_or(0.0, |one| one.parse::<f64>().unwrap());
    let (width, height) = (number(root, "width"), number(root, "height"));
    assert!(
        width > 0.0 && width < 40_000.0 && height > 0.0 && height < 40_000.0,
        "{about}: {width} × {height}"
    );
    let names: Vec<&str> =
        root.descendants().filter(Node::is_element).map(|node| node.tag_name().name()).collect();
    let known = ["svg", "title", "desc", "g", "rect", "path", "text"];
    assert!(names.iter().all(|name| known.contains(name)), "{about}: {names:?}");
    for node in root.descendants().filter(Node::is_element) {
        assert!(node.attribute("id").is_none() && node.attribute("style").is_none(), "{about}");
        assert!(node.attributes().all(|one| !one.name().starts_with("on")), "{about}");
    }
    let group = root.children().find(|node| node.has_tag_name("g")).unwrap();
    // Boxes have a line around them of one pixel and more; what lies on or below them has not.
    let frame = |node: &Node<'_, '_>| node.attribute("fill") == Some("#f8fafc");
    let boxes: Vec<Area> = group
        .children()
        .filter(|node| node.has_tag_name("rect") && number(*node, "stroke-width") >= 1.0 && !frame(node))
        .map(|node| {
            let (x, y) = (number(node, "x"), number(node, "y"));
            [x, y, x + number(node, "width"), y + number(node, "height")]
        })
        .collect();
    for (n, one) in boxes.iter().enumerate() {
        assert!(one[0] >= -0.1 && one[1] >= -0.1 && one[2] <= width && one[3] <= height, "{about}: {one:?}");
        for other in &boxes[n + 1..] {
            let apart = one[2] <= other[0] || other[2] <= one[0] || one[3] <= other[1] || other[3] <= one[1];
            assert!(apart, "{about}: {one:?} and {other:?} overlap");
        }
    }
    for node in group.children().filter(|node| node.has_tag_name("text")) {
        assert!(!node.text().unwrap_or_default().chars().any(char::is_control), "{about}");
        let (x, y) = (number(node, "x"), number(node, "y"));
        assert!(x >= -0.1 && y >= -0.1 && x <= width && y <= height, "{about}: a text at {x}, {y}");
    }
    let heads =
        group.children().filter(|node| node.has_tag_name("path") && node.attribute("stroke").is_none());
    (boxes.len(), heads.count())
}

/// A flowchart whose lines are all of the few kinds that there are. Gives how many boxes and arrows.
pub fn mermaid(about: &str, text: &str) -> (usize, usize) {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("flowchart LR"), "{about}");
    let (mut boxes, mut arrows, mut open) = (0, 0, 0);
    for line in lines {
        let line = line.trim_start();
        let is = |start: &str| line.starts_with(start);
        if is("subgraph p") {
            open += 1;
            label(about, line);
        } else if line == "end" {
            open -= 1;
        } else if is("classDef ") || is("linkStyle ") {
            assert!(!line.contains('"'), "{about}: {line}");
        } else if is("note") {
            label(about, line);
        } else {
            let digits = line.strip_prefix('n').unwrap_or_else(|| panic!("{about}: {line}"));
            let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
            assert!(rest.len() < digits.len(), "{about}: {line}");
            if rest.starts_with(" -->") || rest.starts_with(" -.->") {
                arrows += 1;
                if rest.contains('|') {
                    label(about, line);
                }
                let target = line.rsplit(" n").next().unwrap();
                assert!(target.parse::<usize>().is_ok(), "{about}: {line}");
            } else {
                boxes += 1;
                label(about, line);
                let class = line.rsplit(":::").next().unwrap();
                assert!(["plain", "off", "on", "good", "bad", "waits"].contains(&class), "{about}: {line}");
            }
        }
    }
    assert_eq!(open, 0, "{about}");
    (boxes, arrows)
}

/// There is one text in quotes, and in it nothing that Mermaid would take for its own but codes of characters and line breaks.
fn label(about: &str, line: &str) {
    let parts: Vec<&str> = line.split('"').collect();
    let [_, text, _] = parts.as_slice() else { panic!("{about}: {line}") };
    let text = text.replace("<br/>", " ");
    let mut rest = text.as_str();
    while let Some(at) = rest.find('#') {
        let (before, code) = rest.split_at(at);
        plain(about, before);
        let (digits, after) = code[1..].split_once(';').unwrap_or_else(|| panic!("{about}: {line}"));
        assert!(digits.parse::<u32>().is_ok(), "{about}: {line}");
        rest = after;
    }
    plain(about, rest);
}

fn plain(about: &str, text: &str) {
    let fine = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || " .,()/'".contains(c);
    assert!(text.chars().all(fine), "{about}: {text}");
}

/// Graphviz's language, as far as it is used. Gives how many boxes and arrows.
pub fn dot(about: &str, text: &str) -> (usize, usize) {
    let mut parser = layout::gv::DotParser::new(text);
    let parsed = parser.process().unwrap_or_else(|error| panic!("{about}: {error}\n{text}"));
    let (mut boxes, mut arrows) = (0, 0);
    count(&parsed.list, &mut boxes, &mut arrows);
    (boxes, arrows)
}

fn count(list: &layout::gv::parser::ast::StmtList, boxes: &mut usize, arrows: &mut usize) {
    use layout::gv::parser::ast::Stmt;
    for statement in &list.list {
        match statement {
            Stmt::Node(node) => *boxes += usize::from(!node.list.list.is_empty()),
            Stmt::Edge(_) => *arrows += 1,
            Stmt::SubGraph(graph) => count(&graph.list, boxes, arrows),
            Stmt::Attribute(_) => {}
        }
    }
}
