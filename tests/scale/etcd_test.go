package scale

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// etcd is the address of the API server's etcd. What is written there, the API server
// takes for its own: it shows it to all watches, and no request is made for it.
type etcd string

// The fields are encoded in base64, as etcd's gateway wants.
type (
	put struct {
		Key   []byte `json:"key"`
		Value []byte `json:"value"`
	}
	remove struct {
		Key []byte `json:"key"`
	}
	operation struct {
		Put    *put    `json:"requestPut,omitempty"`
		Remove *remove `json:"requestDeleteRange,omitempty"`
	}
)

// atOnce is how many operations etcd takes in one transaction, unless it is told otherwise.
const atOnce = 128

// do does operations in their order.
func (e etcd) do(operations ...operation) error {
	for len(operations) > 0 {
		n := min(atOnce, len(operations))
		body, err := json.Marshal(map[string]any{"success": operations[:n]})
		if err != nil {
			return err
		}
		answer, err := http.Post(string(e)+"/v3/kv/txn", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("etcd: %s: %s", answer.Status, text)
		}
		operations = operations[n:]
	}
	return nil
}

var stored = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)

// write is the operation that stores an object as the API server does.
func write(o client.Object) (operation, error) {
	kind, err := apiutil.GVKForObject(o, scheme.Scheme)
	if err != nil {
		return operation{}, err
	}
	o = o.DeepCopyObject().(client.Object)
	o.GetObjectKind().SetGroupVersionKind(kind)
	o.SetResourceVersion("")
	value, err := runtime.Encode(stored, o)
	return operation{Put: &put{key(kind, o), value}}, err
}

// erase is the operation that removes an object.
func erase(o client.Object) (operation, error) {
	kind, err := apiutil.GVKForObject(o, scheme.Scheme)
	return operation{Remove: &remove{key(kind, o)}}, err
}

// key is where the API server keeps an object.
func key(kind schema.GroupVersionKind, o client.Object) []byte {
	folder := map[string]string{
		"Node": "minions", "CSINode": "csinodes", "CSIStorageCapacity": "csistoragecapacities",
		"PersistentVolume": "persistentvolumes", "PersistentVolumeClaim": "persistentvolumeclaims",
	}[kind.Kind]
	if folder == "" {
		panic("no key for a " + kind.Kind)
	}
	if o.GetNamespace() != "" {
		folder += "/" + o.GetNamespace()
	}
	return []byte("/registry/" + folder + "/" + o.GetName())
}
