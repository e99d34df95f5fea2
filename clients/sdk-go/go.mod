module countersign.dev/clients/sdk-go

go 1.24

require github.com/conductorone/conductorone-sdk-go v1.26.1
