// Command metrics is an API of external metrics for tests of autoscalers: `metrics ADDRESS DIRECTORY` answers for each metric with
// what the file of its name holds. The API server reaches it through an APIService that does not verify its certificate.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const group = "external.metrics.k8s.io/v1beta1"

func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: metrics ADDRESS DIRECTORY")
	}
	address, directory := os.Args[1], os.Args[2]
	answer := func(w http.ResponseWriter, value any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
	http.HandleFunc("/apis/"+group, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": []any{}})
	})
	http.HandleFunc("/apis/"+group+"/namespaces/", func(w http.ResponseWriter, r *http.Request) {
		name := filepath.Base(r.URL.Path)
		value, err := os.ReadFile(filepath.Join(directory, name))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		item := map[string]any{"metricName": name, "metricLabels": map[string]string{}, "timestamp": time.Now().UTC().Format(time.RFC3339),
			"value": strings.TrimSpace(string(value))}
		answer(w, map[string]any{"kind": "ExternalMetricValueList", "apiVersion": group, "metadata": struct{}{}, "items": []any{item}})
	})
	pair, err := certificate()
	if err != nil {
		log.Fatal(err)
	}
	server := http.Server{Addr: address, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
	log.Fatal(server.ListenAndServeTLS("", ""))
}
