package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// An authority issues the certificates of one cluster. Its key is never written down: a cluster is made once.
type authority struct {
	cluster     string
	certificate []byte // PEM
	parent      *x509.Certificate
	key         *ecdsa.PrivateKey
}

// An identity is whom a certificate names: to Kubernetes its common name is the user, its organization the group.
type identity struct {
	name  string
	group string
	hosts []string // names and addresses that a server answers to
}

// lifetime is longer than anyone keeps a test cluster.
const lifetime = 5 * 365 * 24 * time.Hour

func newAuthority(cluster string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := certificate(identity{name: cluster + "-ca"})
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the cluster's certificate authority: %w", err)
	}
	parent, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cluster: cluster, certificate: encode("CERTIFICATE", der), parent: parent, key: key}, nil
}

// issue makes a key and a certificate for it, both as PEM.
func (a *authority) issue(who identity) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template, err := certificate(who)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.parent, private.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("issue a certificate to %s: %w", who.name, err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", keyDER), nil
}

// kubeconfig lets a client of the API server be who it says.
func (a *authority) kubeconfig(user, group string) ([]byte, error) {
	cert, key, err := a.issue(identity{name: user, group: group})
	if err != nil {
		return nil, err
	}
	return fill("kubeconfig", map[string]any{
		"Cluster": a.cluster, "Server": "https://" + apiServer, "User": user,
		"CA": a.certificate, "Certificate": cert, "Key": key,
	})
}

func certificate(who identity) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: who.name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if who.group != "" {
		c.Subject.Organization = []string{who.group}
	}
	for _, host := range who.hosts {
		if ip := net.ParseIP(host); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, host)
		}
	}
	return c, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
