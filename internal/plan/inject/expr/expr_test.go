package expr_test

import (
	"math/big"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/outrigger-project/outrigger/internal/plan/inject/expr"
)

func TestEval_results(t *testing.T) {
	for _, tt := range []struct {
		of           expr.Resource
		text, amount string
		want         string
	}{
		{expr.CPU, "cpu", "1", "1"},
		{expr.CPU, "cpu*50%", "1", "500m"},
		{expr.CPU, "CPU * 50%", "100m", "50m"},
		{expr.CPU, "max(cpu*50%, 50m)", "80m", "50m"},
		{expr.CPU, "MAX(cpu*50%, 50m)", "200m", "100m"},
		{expr.CPU, "min(cpu, 2)", "3", "2"},
		{expr.CPU, "2", "0", "2"},
		{expr.CPU, "0.1", "0", "100m"},
		{expr.CPU, ".5", "0", "500m"},
		{expr.CPU, "1.", "0", "1"},
		{expr.CPU, "cpu/3", "1", "334m"},         // rounded up
		{expr.CPU, "cpu/3*3", "1", "1"},          // exact: no 0.999…
		{expr.CPU, "0.1+0.2", "0", "300m"},       // exact
		{expr.CPU, "0.0001", "0", "1m"},          // rounded up
		{expr.CPU, "cpu-500m-250m", "1", "250m"}, // to the left
		{expr.CPU, "cpu - (500m - 250m)", "1", "750m"},
		{expr.CPU, "1+2*3", "0", "7"},
		{expr.CPU, "12/3/2", "0", "2"},
		{expr.CPU, "2*cpu", "1", "2"},
		{expr.CPU, "cpu*(1-50%)", "1", "500m"},
		{expr.CPU, "1k", "0", "1k"},
		{expr.CPU, "cpu*0", "5", "0"},
		{expr.CPU, "max(min(cpu, 1), 100m)", "50m", "100m"},
		{expr.Memory, "200Mi", "0", "200Mi"},
		{expr.Memory, "memory*10%", "1Gi", "107374183"}, // 107374182.4, rounded up
		{expr.Memory, "Memory/2", "1Gi", "512Mi"},
		{expr.Memory, "memory - 100Mi", "1Gi", "924Mi"},
		{expr.Memory, "1024", "0", "1Ki"},
		{expr.Memory, "1Ki+1M+1G+1T+1P+1Mi+1Gi+1Ti+1Pi+1k", "0", "2128001494262824"},
		{expr.Memory, "max(memory\t*\t0.5 ,64Mi)", "1Mi", "64Mi"},
	} {
		e, err := expr.Parse(tt.of, tt.text)
		if err != nil {
			t.Errorf("Parse(%s, %q): %v", tt.of, tt.text, err)
			continue
		}
		got, err := e.Eval(rat(tt.amount))
		if err != nil || got.String() != tt.want {
			t.Errorf("%q for %s = %s, %v; want %s", tt.text, tt.amount, got.String(), err, tt.want)
		}
		if uses := strings.Contains(strings.ToLower(tt.text), string(tt.of)); e.Constant() == uses {
			t.Errorf("%q: Constant() = %t", tt.text, e.Constant())
		}
	}
}

func TestEval_refusals(t *testing.T) {
	for text, want := range map[string]string{
		"cpu-2":                      "the result for cpu = 1 is -1, which is negative",
		"cpu-1.5":                    "the result for cpu = 1 is -0.5, which is negative",
		"cpu*1000000P":               "",
		"cpu*9999999999999999999999": "the result is larger than Kubernetes can hold",
	} {
		e, err := expr.Parse(expr.CPU, text)
		if want == "" {
			if err == nil {
				t.Errorf("Parse(%q) succeeded", text)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.Eval(rat("1")); err == nil || err.Error() != want {
			t.Errorf("%q = %s, %v; want %s", text, got.String(), err, want)
		}
	}
}

func TestParse_refusals(t *testing.T) {
	for _, tt := range []struct {
		of         expr.Resource
		text, want string
	}{
		{expr.CPU, "", "at the end: expected a number, a quantity, cpu, max, min or ("},
		{expr.CPU, "  ", "at the end: expected a number"},
		{expr.CPU, "cpu*", "at the end: expected a number"},
		{expr.CPU, "cpu*50m", "at character 4: a quantity cannot be multiplied by a quantity, only by a number such as 2 or 50%"},
		{expr.CPU, "50m*1k", "at character 4: a quantity cannot be multiplied by a quantity"},
		{expr.CPU, "cpu/cpu", "at character 4: nothing can be divided by a quantity"},
		{expr.CPU, "1 / 50m", "at character 3: nothing can be divided by a quantity"},
		{expr.CPU, "1/max(1, 2m)", "at character 2: nothing can be divided by a quantity"},
		{expr.CPU, "cpu/(1-1)", "at character 4: division by zero"},
		{expr.CPU, "memory*2", "at character 1: memory cannot be used in an expression for cpu"},
		{expr.Memory, "memory + CPU", "at character 10: cpu cannot be used in an expression for memory"},
		{expr.Memory, "disk", `at character 1: "disk" is unknown: there are memory, max and min`},
		{expr.Memory, "512MB", `at character 4: "MB" is no suffix: there are m, k, M, G, T, P, Ki, Mi, Gi, Ti and Pi`},
		{expr.Memory, "1K", `at character 2: "K" is no suffix`},
		{expr.Memory, "1ki", `at character 2: "ki" is no suffix`},
		{expr.Memory, "1i", `at character 2: "i" is no suffix`},
		{expr.Memory, "1Ei", `at character 2: "Ei" is no suffix`},
		{expr.Memory, "1e3", `at character 2: "e" is no suffix`},
		{expr.CPU, "max(cpu)", `at character 8: expected , and a second operand, got ')'`},
		{expr.CPU, "max(1, 2, 3)", `at character 9: expected ), got ','`},
		{expr.CPU, "max 1", `at character 5: expected ( after max, got '1'`},
		{expr.CPU, "min(1, 2", "at the end: expected )"},
		{expr.CPU, "(cpu", "at the end: expected )"},
		{expr.CPU, "cpu)", `at character 4: expected an operator, got ')'`},
		{expr.CPU, "cpu 2", `at character 5: expected an operator, got '2'`},
		{expr.CPU, "50 %", `at character 4: expected an operator, got '%'`},
		{expr.CPU, "50m%", `at character 4: expected an operator, got '%'`},
		{expr.CPU, "cpu+ü", `at character 5: expected a number, a quantity, cpu, max, min or (, got 'ü'`},
		{expr.CPU, "-1", `at character 1: expected a number`},
		{expr.CPU, "1.2.3", `at character 1: "1.2.3" is no number`},
		{expr.CPU, ".", `at character 1: "." is no number`},
		{expr.CPU, "1-2", "the result -1 is negative"},
		{expr.CPU, strings.Repeat("9", 25), "at character 1: a number must not have more than 24 digits"},
		{expr.Memory, "9999999P", "the result is larger than Kubernetes can hold"},
		{expr.CPU, strings.Repeat("(", 33) + "1" + strings.Repeat(")", 33), "at character 33: is nested more than 32 deep"},
		{expr.CPU, strings.Repeat("1+", 512) + "1", "must not be longer than 1024 characters"},
	} {
		if _, err := expr.Parse(tt.of, tt.text); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("Parse(%s, %q) = %v\nwant %s", tt.of, tt.text, err, tt.want)
		}
	}
}

func TestParse_whatIsAllowedAtMost(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", 32) + "cpu" + strings.Repeat(")", 32),
		strings.Repeat("(cpu)+", 170) + "1",
		strings.Repeat("9", 24) + "*0+1",
	} {
		if _, err := expr.Parse(expr.CPU, text); err != nil {
			t.Errorf("Parse(%.20q…): %v", text, err)
		}
	}
}

// FuzzParse: whatever the text, nothing panics; the same text gives the same answer; what means the same in other
// words gives the same answer too; a result that is given is exact to the unit.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"max(cpu*50%, 50m)", "200Mi", "memory/3+.5", "min((1),(2))-1", "1/0", "1/(1-1m)", "cpu*cpu", "((((", "9P*9*9*9*9*9", "0.1%", "1.%", "mAx(MIN(cpu,1),\t2)",
		"1/7+1/11+1/13+cpu/17", "\x00", "ü", "1..", "5%%", "max(,)", "1Kim",
	} {
		f.Add(text, uint32(1000))
	}
	f.Fuzz(func(t *testing.T, text string, milli uint32) {
		amount := big.NewRat(int64(milli), 1000)
		for _, of := range []expr.Resource{expr.CPU, expr.Memory} {
			want, wantErr := answer(of, text, amount)
			variants := map[string]string{"the same": text}
			if wantErr == "" && len(text) < 400 {
				variants["in parentheses"] = "(" + text + ")"
				variants["blanks around"] = " \t" + text + " "
				variants["nothing added"] = "0+(" + text + ")"
				variants["max of itself"] = "max(" + text + "," + text + ")"
				variants["doubled and halved"] = "((" + text + ")*2)/2"
				variants["other case"] = strings.NewReplacer("cpu", "CpU", "memory", "MEMORY", "max", "MaX", "min", "mIN").Replace(text)
			}
			for name, variant := range variants {
				if got, err := answer(of, variant, amount); got != want || err != wantErr {
					if strings.Contains(err, "nested more than") {
						continue
					}
					t.Errorf("%s: %q for %s = %q, %q; %s: %q, %q", of, text, amount, want, wantErr, name, got, err)
				}
			}
		}
	})
}

func answer(of expr.Resource, text string, amount *big.Rat) (result, failure string) {
	e, err := expr.Parse(of, text)
	if err != nil {
		return "", err.Error()
	}
	q, err := e.Eval(amount)
	if err != nil {
		return "", err.Error()
	}
	return q.String(), ""
}

func rat(quantity string) *big.Rat {
	q := resource.MustParse(quantity)
	r, _ := new(big.Rat).SetString(q.AsDec().String())
	return r
}

func BenchmarkEval(b *testing.B) {
	e, err := expr.Parse(expr.CPU, "max(cpu*50%, 50m)")
	if err != nil {
		b.Fatal(err)
	}
	amount := big.NewRat(7, 2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Eval(amount); err != nil {
			b.Fatal(err)
		}
	}
}
