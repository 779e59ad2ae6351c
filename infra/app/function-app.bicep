// The Flex Consumption plan and the app on it. Its code comes by `azd deploy` or as a zip.
import { alwaysReadyInstances, tagsOf } from 'types.bicep'

param name string
param planName string

@description('The name of the service in azure.yaml: azd deploys to the site that carries it.')
param serviceName string
param location string
param tags tagsOf
param identityId string
param identityClientId string
param insightsName string
param workspaceId string
param storageName string
param packageContainer string

@description('The subnet that the app reaches the world through; empty: the public network.')
param subnetId string
param instanceMemoryMB int
param maximumInstanceCount int
param zoneRedundant bool
param alwaysReady alwaysReadyInstances[]
param rollingUpdates bool

@description('The share of traces that are kept, from 0 to 1, as text.')
param traceRatio string

@description('What differs between environments; what every one has in common is set here.')
param appSettings { *: string }

resource storage 'Microsoft.Storage/storageAccounts@2026-06-01' existing = {
  name: storageName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

// Azure's names of its clouds, and azure-identity's, which the app takes.
var armClouds = {
  AzureCloud: 'AZURE_PUBLIC_CLOUD'
  AzureUSGovernment: 'AZURE_US_GOVERNMENT'
  AzureChinaCloud: 'AZURE_CHINA_CLOUD'
}

var commonSettings = {
  // The host keeps leases in blobs and diagnostic events in tables. It has nothing in queues, and so
  // no role there, but asks for the three together.
  AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
  AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  PostureStorage__tableServiceUri: storage.properties.primaryEndpoints.table
  PostureStorage__credential: 'managedidentity'
  PostureStorage__clientId: identityClientId
  ServiceBus__credential: 'managedidentity'
  ServiceBus__clientId: identityClientId
  AZURE_CLIENT_ID: identityClientId
  ARM_CLOUD: armClouds[environment().name]
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  APPLICATIONINSIGHTS_RESOURCE_ID: insights.id
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  // What the exporter would send about itself.
  APPLICATIONINSIGHTS_SDKSTATS_DISABLED: 'true'
  APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED: 'true'
  // The app sets OpenTelemetry up itself; the worker hands it the message's trace context.
  PYTHON_ENABLE_OPENTELEMETRY: 'true'
  OTEL_SERVICE_NAME: 'patch-assessor'
  OTEL_TRACES_SAMPLER: 'parentbased_traceidratio'
  OTEL_TRACES_SAMPLER_ARG: traceRatio
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': serviceName })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    // Event Grid and deployments come in here; no function has an HTTP trigger.
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReady
      }
      // From 3.13 on, Azure runs the worker that requirements.txt pins, which is the one that is tested.
      runtime: {
        name: 'python'
        version: '3.13'
      }
      // Which the compiler does not know yet: https://learn.microsoft.com/azure/azure-functions/flex-consumption-site-updates
      #disable-next-line BCP037
      siteUpdateStrategy: {
        type: rollingUpdates ? 'RollingUpdate' : 'Recreate'
      }
    }
  }

  // Deployments by user name and password stay off: Entra only.
  resource ftpPassword 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scmPassword 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: union(commonSettings, appSettings)
  }
}

// Logs go to Application Insights by OpenTelemetry already; here they would be paid for twice.
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: app
  name: 'metrics'
  properties: {
    workspaceId: workspaceId
    metrics: [
      { category: 'AllMetrics', enabled: true }
    ]
  }
}

output id string = app.id
output name string = app.name
