// Command expr-vectors runs expressions through antonmedv/expr as Guardian does and writes down what comes out.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/antonmedv/expr"
	"github.com/antonmedv/expr/file"
)

// ExprParam is what Guardian evaluates on: a map with one method.
type ExprParam map[string]any

// Split is the function that Guardian adds.
func (ExprParam) Split(s, sep string) []string { return strings.Split(s, sep) }

// outcome is one of value, compile, parameter, run and crash, with the details of it.
type outcome struct{ kind, text, place string }

func located(kind string, err error) outcome {
	var at *file.Error
	if !errors.As(err, &at) {
		return outcome{kind, err.Error(), ""}
	}
	if at.Location.Empty() {
		return outcome{kind, at.Message, ""}
	}
	return outcome{kind, at.Message, fmt.Sprintf("%d:%d", at.Line, at.Column+1)}
}

// evaluate compiles without an environment, looks for texts that begin with a dollar among the constants of the program, and
// runs it on the parameters that they name.
func evaluate(text string, parameters map[string]any) (result outcome) {
	defer func() {
		if r := recover(); r != nil {
			result = outcome{"crash", fmt.Sprint(r), ""}
		}
	}()
	program, err := expr.Compile(text)
	if err != nil {
		return located("compile", err)
	}
	env := ExprParam{}
	known := map[string]any{"split": env.Split}
	for name, value := range parameters {
		known[name] = value
	}
	for _, constant := range program.Constants {
		if reflect.TypeOf(constant).Kind() != reflect.String {
			continue
		}
		name := reflect.ValueOf(constant).String()
		if !strings.HasPrefix(name, "$") {
			continue
		}
		value, ok := known[name[1:]]
		if !ok {
			return outcome{"parameter", name[1:], ""}
		}
		env[name] = value
	}
	value, err := expr.Run(program, env)
	if err != nil {
		return located("run", err)
	}
	return outcome{"value", written(reflect.ValueOf(value)), ""}
}

// written is a value with its types: whole numbers bare, floats with an f, lists and maps with what they hold.
func written(v reflect.Value) string {
	for v.Kind() == reflect.Interface && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() == reflect.Interface {
		return "nil"
	}
	switch value := v.Interface().(type) {
	case time.Time:
		return "time " + value.Format("2006-01-02T15:04:05.999999999Z07:00 MST")
	case time.Duration:
		return fmt.Sprintf("duration %d", int64(value))
	case time.Month:
		return fmt.Sprintf("month %d", int(value))
	case time.Weekday:
		return fmt.Sprintf("weekday %d", int(value))
	case uint8:
		return fmt.Sprintf("byte %d", value)
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'e', -1, 64) + "f"
	case reflect.String:
		return quoted(v.String())
	case reflect.Slice, reflect.Array:
		return listed(v)
	case reflect.Map:
		return mapped(v)
	case reflect.Func:
		return "func"
	}
	return "other " + v.Type().String()
}

func quoted(text string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		log.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func listed(v reflect.Value) string {
	name := map[string]string{
		"[]interface {}": "", "[]int": "ints", "[]string": "texts", "[2]interface {}": "pair", "[][2]interface {}": "pairs",
	}[v.Type().String()]
	if v.Kind() == reflect.Slice && v.IsNil() {
		return name + "[nil]"
	}
	if v.Len() > 50 {
		return fmt.Sprintf("%s[%d]", name, v.Len())
	}
	items := make([]string, v.Len())
	for i := range items {
		items[i] = written(v.Index(i))
	}
	return name + "[" + strings.Join(items, " ") + "]"
}

func mapped(v reflect.Value) string {
	name := map[string]string{
		"map[string]interface {}": "", "map[interface {}]interface {}": "any",
		"map[interface {}][]interface {}": "groups", "main.ExprParam": "env",
	}[v.Type().String()]
	if v.IsNil() {
		return name + "{nil}"
	}
	var entries []string
	for _, key := range v.MapKeys() {
		entries = append(entries, written(key)+": "+written(v.MapIndex(key)))
	}
	sort.Strings(entries)
	return name + "{" + strings.Join(entries, ", ") + "}"
}

var escapes = strings.NewReplacer("\\", "\\\\", "\n", "\\n", "\t", "\\t", "\r", "\\r")
var unescapes = strings.NewReplacer("\\\\", "\\", "\\n", "\n", "\\t", "\t", "\\r", "\r")

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: expr-vectors DIRECTORY")
	}
	directory := os.Args[1]
	text, err := os.ReadFile(filepath.Join(directory, "parameters.json"))
	if err != nil {
		log.Fatal(err)
	}
	sets := map[string]map[string]any{}
	if err := json.Unmarshal(text, &sets); err != nil {
		log.Fatal(err)
	}
	text, err = os.ReadFile(filepath.Join(directory, "expressions.tsv"))
	if err != nil {
		log.Fatal(err)
	}
	output, err := os.Create(filepath.Join(directory, "vectors.tsv"))
	if err != nil {
		log.Fatal(err)
	}
	defer output.Close()
	w := bufio.NewWriter(output)
	defer w.Flush()
	fmt.Fprintln(w, "# Made by tools/expr-vectors with antonmedv/expr v1.15.3. Do not edit.")
	seen := map[string]bool{}
	emit := func(set, expression string) {
		if seen[set+"\t"+expression] {
			return
		}
		seen[set+"\t"+expression] = true
		parameters, ok := sets[set]
		if !ok {
			log.Fatalf("there is no parameter set %q", set)
		}
		o := evaluate(expression, parameters)
		line := []string{set, escapes.Replace(expression), o.kind, escapes.Replace(o.text)}
		if o.place != "" {
			line = append(line, o.place)
		}
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	for _, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		set, expression, ok := strings.Cut(line, "\t")
		if !ok {
			log.Fatalf("no tab in %q", line)
		}
		emit(set, unescapes.Replace(expression))
	}
	products(emit)
}
