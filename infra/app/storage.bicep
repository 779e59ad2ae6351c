// The host's state, the app's package, and its tables: postures of VMs, and scans under way. No shared
// key opens it, and nothing in it is public; but without private endpoints whoever has a role reaches
// it from anywhere, for Flex Consumption uploads its package from no address that could be named.
import { tagsOf } from 'types.bicep'

@maxLength(24)
param name string
param location string
param tags tagsOf

@description('Closed to the public network; private endpoints lead in.')
param isPrivate bool
param zoneRedundant bool

@description('The container for events that Event Grid could not deliver; empty: none is made.')
param deadEventContainer string
param appPrincipalId string

@description('Whoever deploys may read the tables; empty: may not.')
param deployerId string

@allowed([
  'ServicePrincipal'
  'User'
])
param deployerType string
param workspaceId string

resource account 'Microsoft.Storage/storageAccounts@2026-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowedCopyScope: 'AAD'
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    isLocalUserEnabled: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: empty(deadEventContainer) ? 'None' : 'AzureServices' // Event Grid counts as one of these
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-06-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: true, days: 7 }
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
  }
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-06-01' = {
  parent: blobs
  name: 'app-package'
  properties: { publicAccess: 'None' }
}

resource deadEvents 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-06-01' = if (!empty(deadEventContainer)) {
  parent: blobs
  name: deadEventContainer
  properties: { publicAccess: 'None' }
}

// An event tells who did what in its claims, so it is not kept longer than it takes to look at it.
resource lives 'Microsoft.Storage/storageAccounts/managementPolicies@2026-06-01' = if (!empty(deadEventContainer)) {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: deadEventContainer
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['${deadEventContainer}/']
            }
            actions: {
              baseBlob: { delete: { daysAfterModificationGreaterThan: 14 } }
            }
          }
        }
      ]
    }
  }
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2026-06-01' = {
  parent: account
  name: 'default'
}

resource posture 'Microsoft.Storage/storageAccounts/tableServices/tables@2026-06-01' = {
  parent: tables
  name: 'vmposture'
}

resource scans 'Microsoft.Storage/storageAccounts/tableServices/tables@2026-06-01' = {
  parent: tables
  name: 'vmscans'
}

// Blob Data Owner: the host keeps leases and keys in containers of its own and reads its package.
resource blobOwnerRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' existing = {
  scope: subscription()
  name: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
}

// On the account and not on the tables: a worker makes sure that they are there, and that call
// names a table in its body, where a right on the table itself doesn't count.
resource tableContributorRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' existing = {
  scope: subscription()
  name: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
}

resource blobOwner 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, appPrincipalId, blobOwnerRole.id)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: blobOwnerRole.id
  }
}

resource tableContributor 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, appPrincipalId, tableContributorRole.id)
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: tableContributorRole.id
  }
}

resource tableReaderRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' existing = {
  scope: subscription()
  name: '76199698-9eea-4c19-bc75-cec21354c6b6' // Storage Table Data Reader
}

resource deployerReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(deployerId)) {
  scope: account
  name: guid(account.id, deployerId, tableReaderRole.id)
  properties: {
    principalId: deployerId
    principalType: deployerType
    roleDefinitionId: tableReaderRole.id
  }
}

// Reads are left out: the host looks at its leases every few seconds.
resource blobDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobs
  name: 'writes'
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'StorageWrite', enabled: true }
      { category: 'StorageDelete', enabled: true }
    ]
  }
}

// Writes are left out: every assessment makes one, and the app's traces tell of it.
resource tableDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: tables
  name: 'deletes'
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'StorageDelete', enabled: true }
    ]
  }
}

output id string = account.id
output packageContainer string = packages.name
output postureTable string = posture.name
output scanTable string = scans.name
