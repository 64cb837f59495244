# The image of hostdir: two static programs, and nothing else. It runs the node
# plugin, /hostdir; the chart lets it run /hostdir-controller once for the cluster.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=0.1.0 -t REGISTRY/hostdir:0.1.0 --push .
#   podman build -t REGISTRY/hostdir:0.1.0 .        (buildah bud as well)
#
# The compiler runs on the builder's own platform and compiles for the target's.
# Buildah 1.28 takes the one for the other: for another platform than your own
# tell it --build-arg BUILDPLATFORM=linux/amd64 as well.
FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26 AS build
WORKDIR /src
# Modules first: they stay cached while only sources change.
COPY go.mod go.sum ./
RUN go mod download
COPY cmd ./cmd
COPY pkg ./pkg
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
# grpcnotrace leaves out golang.org/x/net/trace: its templates would keep the
# linker from dropping methods that nobody calls.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -tags grpcnotrace -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/ ./cmd/hostdir ./cmd/hostdir-controller

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="hostdir" \
      org.opencontainers.image.description="CSI driver that gives each PersistentVolumeClaim a directory on its pod's node" \
      org.opencontainers.image.source="https://github.com/hostdir/hostdir" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /out/hostdir /out/hostdir-controller /
ENTRYPOINT ["/hostdir"]
