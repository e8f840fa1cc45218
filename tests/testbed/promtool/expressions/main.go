// Command expressions says which metrics and labels PromQL expressions ask for, as Prometheus' own
// parser reads them: a JSON list of expressions on stdin, a JSON list of answers on stdout.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Matcher is a condition on a label, as it stands between the braces of a selector.
type Matcher struct {
	Label string `json:"label"`
	Op    string `json:"op"`
	Value string `json:"value"`
}

// Selector is one metric that is asked for.
type Selector struct {
	Metric   string    `json:"metric"`
	Matchers []Matcher `json:"matchers"`
}

// Naming is labels that an operator names (by, without, on, ignoring, group_left, label_replace), and
// the metrics below it, of which one or the other has to have them.
type Naming struct {
	Labels  []string `json:"labels"`
	Metrics []string `json:"metrics"`
}

// Answer is what one expression asks for. Kept is the labels of its result where its outermost
// aggregation names them, else null.
type Answer struct {
	Error     string     `json:"error,omitempty"`
	Selectors []Selector `json:"selectors"`
	Namings   []Naming   `json:"namings"`
	Kept      []string   `json:"kept"`
}

func main() {
	var asked []string
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fmt.Fprintln(os.Stderr, "expressions: stdin is no JSON list of strings:", err)
		os.Exit(2)
	}
	answers := make([]Answer, 0, len(asked))
	for _, text := range asked {
		answers = append(answers, answer(text))
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, "expressions:", err)
		os.Exit(1)
	}
}

func answer(text string) Answer {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	found := Answer{Selectors: selectors(expr), Namings: []Naming{}, Kept: kept(expr)}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if named := namedBy(node); len(named) > 0 {
			found.Namings = append(found.Namings, Naming{named, metrics(node)})
		}
		return nil
	})
	return found
}

func selectors(node parser.Node) []Selector {
	found := []Selector{}
	parser.Inspect(node, func(node parser.Node, _ []parser.Node) error {
		if vector, ok := node.(*parser.VectorSelector); ok {
			found = append(found, selector(vector))
		}
		return nil
	})
	return found
}

func selector(vector *parser.VectorSelector) Selector {
	found := Selector{Metric: vector.Name, Matchers: []Matcher{}}
	for _, each := range vector.LabelMatchers {
		if each.Name == labels.MetricName {
			if each.Type == labels.MatchEqual {
				found.Metric = each.Value
			}
			continue
		}
		found.Matchers = append(found.Matchers, Matcher{each.Name, each.Type.String(), each.Value})
	}
	return found
}

func metrics(node parser.Node) []string {
	found := []string{}
	for _, each := range selectors(node) {
		found = append(found, each.Metric)
	}
	return found
}

func namedBy(node parser.Node) []string {
	switch each := node.(type) {
	case *parser.AggregateExpr:
		return each.Grouping
	case *parser.BinaryExpr:
		if each.VectorMatching != nil {
			return append(append([]string{}, each.VectorMatching.MatchingLabels...), each.VectorMatching.Include...)
		}
	}
	return nil
}

// kept is the labels of the result, where an aggregation decides them.
func kept(expr parser.Expr) []string {
	switch each := expr.(type) {
	case *parser.AggregateExpr:
		if each.Without {
			return nil
		}
		return append([]string{}, each.Grouping...)
	case *parser.BinaryExpr:
		if left := kept(each.LHS); left != nil {
			return left
		}
		return kept(each.RHS)
	case *parser.ParenExpr:
		return kept(each.Expr)
	case *parser.Call:
		for _, argument := range each.Args {
			if found := kept(argument); found != nil {
				return found
			}
		}
	}
	return nil
}
