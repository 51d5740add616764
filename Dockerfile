# docker build -t drover .
# docker run -d --name drover -p 127.0.0.1:8080:8080 -v /var/run/docker.sock:/var/run/docker.sock -v drover:/data -e DROVER_OPEN_ACCESS=1 drover
FROM rust:1.89-bookworm AS build
WORKDIR /src
COPY . .
ARG DROVER_COMMIT=
ENV DROVER_COMMIT=$DROVER_COMMIT
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/drover target/release/drover-netd /

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /drover /drover-netd /usr/bin/
ENV DROVER_DATA_DIR=/data DROVER_LISTEN=0.0.0.0:8080
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["/usr/bin/drover"]
CMD ["serve"]
