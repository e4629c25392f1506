package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// printAll writes documents as YAML with separators, or as JSON: one object, or a List of several.
func printAll(out io.Writer, format string, documents [][]byte) error {
	var buf bytes.Buffer
	write := writeYAML
	if format == "json" {
		write = writeJSON
	}
	if err := write(&buf, documents); err != nil {
		return err
	}
	_, err := out.Write(buf.Bytes())
	return err
}

func writeYAML(buf *bytes.Buffer, documents [][]byte) error {
	for i, d := range documents {
		text, err := yaml.JSONToYAML(d)
		if err != nil {
			return fmt.Errorf("write YAML: %w", err)
		}
		if i > 0 {
			buf.WriteString("---\n")
		}
		buf.Write(text)
	}
	return nil
}

func writeJSON(buf *bytes.Buffer, documents [][]byte) error {
	all := documents[0]
	if len(documents) > 1 {
		all = fmt.Appendf(nil, `{"apiVersion":"v1","kind":"List","items":[%s]}`, bytes.Join(documents, []byte(",")))
	}
	if err := json.Indent(buf, all, "", "  "); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	buf.WriteByte('\n')
	return nil
}
