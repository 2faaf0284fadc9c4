# A static binary on an empty image, run by nobody in particular.
#
#   docker build -t concertina .
#   docker run -p 8443:8443 -v ./routes.toml:/etc/concertina/routes.toml:ro concertina
#
# In a container, `[[listen]]` must name 0.0.0.0 (or [::]) to be reached from outside.

FROM rust:1.95-alpine AS build
# The crypto library is C and assembler; the allocator is C.
RUN apk add --no-cache build-base cmake perl linux-headers
WORKDIR /source
COPY Cargo.toml Cargo.lock routes.toml ./
COPY src src
# Alpine's target links statically against musl.
RUN cargo build --locked --profile dist --bin concertina

FROM scratch
COPY --from=build /source/target/dist/concertina /concertina
USER 65532:65532
WORKDIR /etc/concertina
EXPOSE 8443 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/concertina"]
CMD ["run", "/etc/concertina/routes.toml"]
