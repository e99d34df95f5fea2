# A policy as users of ConductorOne's Terraform provider write it, and both of the provider's data sources.

terraform {
  required_providers {
    conductorone = {
      source = "conductorone/conductorone"
    }
  }
}

# Address and credentials come from the environment.
provider "conductorone" {}

variable "description" {
  type    = string
  default = "Two signatures"
}

resource "conductorone_policy" "production" {
  display_name = "Production from Terraform"
  description  = var.description
  policy_type  = "POLICY_TYPE_GRANT"

  rules = [
    {
      condition = "subject.employmentType == \"Contractor\""
      step_key  = "contractors"
    },
  ]

  policy_steps = {
    grant = {
      steps = [
        {
          approval = {
            require_approval_reason = true
            manager = {
              fallback          = true
              fallback_user_ids = ["user-1"]
            }
          }
        },
        {
          approval = {
            app_owners = {
              require_distinct_approvers = true
            }
          }
        },
      ]
    }
    contractors = {
      steps = [
        {
          reject = {
            reject_message = "Not for contractors"
          }
        },
      ]
    }
  }
}

data "conductorone_policy" "one" {
  display_name = conductorone_policy.production.display_name
}

data "conductorone_policies" "all" {
  query = conductorone_policy.production.display_name
}

output "id" {
  value = conductorone_policy.production.id
}

output "found" {
  value = [data.conductorone_policy.one.id, data.conductorone_policies.all.list[0].id]
}
