package main

import "strings"

// One operand of each kind that expressions know: literals, whose type the checker sees, and parameters, whose type it does
// not. JSON has no whole numbers, so that $n is a float.
var operands = []string{
	"nil", "true", "2", "2.5", "'ab'", "[1, 'ab']", "{a: 1}", "1..3",
	"$z", "$t", "$n", "$s", "$l", "$m",
}

var binaries = strings.Fields("or and == != < > >= <= in matches contains startsWith endsWith .. + - * / % ** ?? not~in")

var functions = strings.Fields("len type abs int float string trim trimPrefix trimSuffix upper lower split splitAfter replace " +
	"repeat join indexOf lastIndexOf hasPrefix hasSuffix max min sum mean median toJSON fromJSON toBase64 fromBase64 " +
	"duration date first last get take keys values toPairs fromPairs sort sortBy now")

var predicates = strings.Fields("all none any one filter map find findIndex findLast findLastIndex count groupBy reduce")

var bodies = []string{"true", "# == 2", "#", "#.a", ".a == 1", "1", "nil", "#index", "#acc", "# in [1, 3]", "# > 1"}

// products emits every operator and function on operands of every kind.
func products(emit func(set, expression string)) {
	for _, operator := range binaries {
		operator = strings.ReplaceAll(operator, "~", " ")
		for _, left := range operands {
			for _, right := range operands {
				emit("kinds", left+" "+operator+" "+right)
			}
		}
	}
	for _, unary := range []string{"not ", "!", "-", "+"} {
		for _, operand := range operands {
			emit("kinds", unary+operand)
		}
	}
	for _, operand := range operands {
		emit("kinds", "("+operand+") ? 1 : 2")
		emit("kinds", "("+operand+") ?: 2")
		emit("kinds", "("+operand+").a")
		emit("kinds", "("+operand+")?.a?.b")
		emit("kinds", "("+operand+")[0]")
		emit("kinds", "("+operand+")['a']")
		emit("kinds", "("+operand+")[-1]")
		emit("kinds", "("+operand+")[9]")
		emit("kinds", "("+operand+")[1:]")
		emit("kinds", "("+operand+")[:'a']")
		emit("kinds", "$l["+operand+"]")
		emit("kinds", "$m["+operand+"]")
		emit("kinds", "{("+operand+"): 1}")
		emit("kinds", "let x = "+operand+"; x")
		emit("kinds", "get($l, "+operand+")")
		emit("kinds", "get($m, "+operand+")")
		emit("kinds", "Split("+operand+", 'b')")
		emit("kinds", "type("+operand+")")
	}
	two := []string{"nil", "2", "'ab'", "[1, 'ab']", "$s", "$n", "$l", "$z"}
	for _, function := range functions {
		if function != "now" {
			emit("kinds", function+"()")
		} else {
			emit("kinds", "type(now())")
			emit("kinds", "now(1)")
			continue
		}
		for _, first := range operands {
			// Go gives these in an order that changes from run to run.
			if first == "$m" && (function == "keys" || function == "values" || function == "toPairs") {
				emit("kinds", "len("+function+"("+first+"))")
				continue
			}
			emit("kinds", function+"("+first+")")
		}
		for _, first := range two {
			for _, second := range two {
				emit("kinds", function+"("+first+", "+second+")")
			}
		}
		emit("kinds", function+"('a', 'b', 'c')")
		emit("kinds", function+"($s, 'b', $n)")
		emit("kinds", function+"($l, 'b', 'desc')")
		emit("kinds", function+"('a', 'b', 'c', 1)")
		emit("kinds", function+"('a', 'b', 'c', 1, 2)")
	}
	for _, predicate := range predicates {
		for _, list := range []string{"nil", "2", "'ab'", "[1, 2, 3]", "[]", "1..3", "$l", "$objects", "$empty", "$s", "$m", "$z"} {
			for _, body := range bodies {
				emit("kinds", predicate+"("+list+", "+body+")")
			}
		}
		emit("kinds", predicate+"([1, 2, 3])")
		emit("kinds", predicate+"([1, 2, 3], {# > 1})")
		emit("kinds", predicate+"([1, 2, 3], # > 1, 7)")
		emit("kinds", "[1, 2, 3] | "+predicate+"(# > 1)")
	}
}
